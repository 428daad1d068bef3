"""The equations over time: a stack of layers under one jitted `lax.scan` per layer.

Two backward passes stand next to each other. "plain" scans the very step of `cell.py` and lets JAX
differentiate it: the reference. "fast" computes the same function with one matrix product per time
step, [W U b] [h; x; 1] for all gates at once, and a backward pass derived by hand: only the recurrence
stays in its loop, and the gradients of all the layer's weights are taken after it in one product.

Sizes: T time steps, B batch, I inputs, H hidden units, L layers, G gates (4 for the LSTM, 1 for the RNN).
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jax_lstm.cell import GATES, STEPS, Gates, Params, State, bias, lstm_gates, σ
from jax_lstm.config import CellName

Backward = Literal["fast", "plain"]
Saved: TypeAlias = tuple[Any, ...]


@partial(jax.jit, static_argnames=("cell", "backward"))
def run_stack(
    weights: Mapping[str, Array],
    x: Float[Array, "T B I"],
    h_0: Float[Array, "L B H"],
    c_0: Float[Array, "L B H"] | None = None,
    *,
    cell: CellName = "lstm",
    backward: Backward = "fast",
) -> tuple[Float[Array, "T B H"], Float[Array, "L B H"], Float[Array, "L B H"] | None]:
    """Run a stack of recurrent layers over a sequence.

    Args:
        weights: `layers.{l}.W_{gate}` and so on, l from 0 (the weight contract of `cell.py`);
            entries that do not start with "layers." are not used.
        x: the sequence, time first.
        h_0: initial hidden state of every layer.
        c_0: initial cell state of every layer (LSTM only).
        cell: "lstm", "rnn-tanh" or "rnn-relu".
        backward: "fast" (reverse-mode differentiation only) or "plain".

    Returns:
        (h of the last layer at every time step, last h of every layer, last c of every layer);
        the last is None for the simple RNN.

    Raises:
        ValueError: layers, sizes or states that do not fit together.
    """
    layers = split_layers(weights, cell)
    _check(layers, x, h_0, c_0, cell)
    run = run_layer_fast if backward == "fast" else run_layer_plain
    last: list[State] = []
    for l, p in enumerate(layers):  # noqa: E741
        state: State = (h_0[l],) if c_0 is None else (h_0[l], c_0[l])
        x, state = run(cell, p, x, state)
        last.append(state)
    h_T, *c_T = (jnp.stack(states) for states in zip(*last, strict=True))
    return x, h_T, c_T[0] if c_T else None


@partial(jax.jit, static_argnames=("cell", "backward"))
def trace(
    weights: Mapping[str, Array],
    x: Float[Array, "T B I"],
    h_0: Float[Array, "L B H"],
    c_0: Float[Array, "L B H"] | None = None,
    *,
    cell: CellName = "lstm",
    backward: Backward = "fast",
) -> dict[str, Float[Array, "T B H"]]:
    """Every gate and state on the way of `run_stack`, at every time step.

    Args and errors as for `run_stack`; `backward` says whose forward pass is looked into.

    Returns:
        For every layer l, in the order of their computation: `layers.{l}.i`, `.f`, `.o`, `.c_tilde`,
        `.c`, `.h` of an LSTM; `layers.{l}.h` of a simple RNN.
    """
    layers = split_layers(weights, cell)
    _check(layers, x, h_0, c_0, cell)
    trace_layer = _trace_layer_fast if backward == "fast" else _trace_layer_plain
    traced: dict[str, Array] = {}
    for l, p in enumerate(layers):  # noqa: E741
        gates, (h, *c) = trace_layer(cell, p, x, (h_0[l],) if c_0 is None else (h_0[l], c_0[l]))
        names = (*(Gates._fields if gates else ()), *("c" for _ in c), "h")
        traced |= {f"layers.{l}.{name}": a for name, a in zip(names, (*gates, *c, h), strict=True)}
        x = h
    return traced


def _trace_layer_plain(cell: CellName, p: Params, x: Array, state: State) -> tuple[Saved, State]:
    def step(state: State, x_t: Array) -> tuple[State, tuple[Saved, State]]:
        gates = lstm_gates(p, state, x_t) if cell == "lstm" else ()
        state = STEPS[cell](p, state, x_t)
        return state, (gates, state)

    return lax.scan(step, state, x)[1]


def _trace_layer_fast(cell: CellName, p: Params, x: Array, state: State) -> tuple[Saved, State]:
    _, states, _, (gates, *_) = _unroll(cell, _stacked(cell, p), x, state)
    return gates, states


def run_layer_plain(cell: CellName, p: Params, x: Array, state: State) -> tuple[Array, State]:
    """One layer over time, differentiated by JAX: x [T, B, I], state of [B, H] → h [T, B, H], last state."""

    def step(state: State, x_t: Array) -> tuple[State, Array]:
        state = STEPS[cell](p, state, x_t)
        return state, state[0]

    state, h = lax.scan(step, state, x)
    return h, state


def run_layer_fast(cell: CellName, p: Params, x: Array, state: State) -> tuple[Array, State]:
    """One layer over time with the backward pass of this module; the same function as the plain one."""
    return _layer(cell, _stacked(cell, p), x, state)


def _stacked(cell: CellName, p: Params) -> Array:
    """A = [W U b], the gates one below the other: [G·H, H+I+1], so that z = A [h; x; 1]."""
    rows = (jnp.concatenate([p[f"W_{g}"], p[f"U_{g}"], bias(p, g)[:, None]], axis=1) for g in GATES[cell])
    return jnp.concatenate(list(rows))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _layer(cell: CellName, A: Array, x: Array, state: State) -> tuple[Array, State]:
    """One layer over time."""
    return _layer_forward(cell, A, x, state)[0]


def _layer_forward(
    cell: CellName, A: Array, x: Array, state: State
) -> tuple[tuple[Array, State], tuple[Array, Array, Saved]]:
    last, states, hx1, saved = _unroll(cell, A, x, state)
    return (states[0], last), (A, hx1, saved)


def _unroll(cell: CellName, A: Array, x: Array, state: State) -> tuple[State, State, Array, Saved]:
    """The last state; and of every time step the state, [h; x; 1] before it, and what is saved."""
    A_T = _apart(A.T)

    def step(state: State, x1: Array) -> tuple[State, tuple[State, Array, Saved]]:
        h, *rest = state
        hx1 = jnp.concatenate([h, x1], axis=-1)
        new, saved = _KERNELS[cell].forward(hx1 @ A_T, *rest)
        return new, (new, hx1, saved)

    x1 = jnp.concatenate([x, jnp.ones_like(x[..., :1])], axis=-1)
    last, (states, hx1, saved) = lax.scan(step, state, x1)
    return last, states, hx1, saved


def _layer_backward(
    cell: CellName, residuals: tuple[Array, Array, Saved], cotangents: tuple[Array, State]
) -> tuple[Array, Array, State]:
    A, hx1, saved = residuals
    dh_all, dlast = cotangents
    H = dlast[0].shape[-1]
    W = _apart(A[:, :H])

    def step(dstate: State, inputs: tuple[Array, Saved]) -> tuple[State, Array]:
        dh_t, saved = inputs
        dh, *drest = dstate
        dz, drest_before = _KERNELS[cell].backward(saved, dh + dh_t, *drest)
        dz = _apart(dz)
        return (dz @ W, *drest_before), dz

    dstate_0, dz = lax.scan(step, dlast, (dh_all, saved), reverse=True)
    dA = _apart(hx1.reshape(-1, A.shape[1]).T @ dz.reshape(-1, A.shape[0])).T
    return dA, dz @ A[:, H:-1], dstate_0


_layer.defvjp(_layer_forward, _layer_backward)


def _apart(a: Array) -> Array:
    """The array itself, but XLA computes it once and lays it out in memory as it stands here.

    Left to itself its CPU code computes a tanh anew in every loop that uses it, and a transposed matrix
    anew in every time step, or hands it to a matrix product that is slow on it.
    """
    return lax.optimization_barrier(a)


class Kernel(NamedTuple):
    """What differs from cell to cell once z = W h + U x + b is known, and its derivative.

    forward: (z, *rest of the state before) → (state after, saved: the gates, and what else is needed for)
    backward: (saved, dL/dh, *dL/drest) → (dL/dz, dL/drest of the state before)
    """

    forward: Callable[..., tuple[State, Saved]]
    backward: Callable[..., tuple[Array, State]]


def _lstm_forward(z: Array, c_before: Array) -> tuple[State, Saved]:
    z_i, z_f, z_o, z_c = jnp.split(z, 4, axis=-1)
    gates = Gates(σ(z_i), σ(z_f), σ(z_o), jnp.tanh(z_c))
    c = gates.f * c_before + gates.i * gates.c_tilde
    tanh_c = _apart(jnp.tanh(c))
    return (gates.o * tanh_c, c), (gates, c_before, tanh_c)


def _lstm_backward(saved: Saved, dh: Array, dc: Array) -> tuple[Array, State]:
    (i, f, o, c_tilde), c_before, tanh_c = saved
    dc = dc + dh * o * (1 - tanh_c**2)
    dz_i = dc * c_tilde * i * (1 - i)
    dz_f = dc * c_before * f * (1 - f)
    dz_o = dh * tanh_c * o * (1 - o)
    dz_c = dc * i * (1 - c_tilde**2)
    return jnp.concatenate([dz_i, dz_f, dz_o, dz_c], axis=-1), (dc * f,)


def _tanh_forward(z: Array) -> tuple[State, Saved]:
    h = jnp.tanh(z)
    return (h,), ((), h)


def _tanh_backward(saved: Saved, dh: Array) -> tuple[Array, State]:
    _, h = saved
    return dh * (1 - h**2), ()


def _relu_forward(z: Array) -> tuple[State, Saved]:
    h = jax.nn.relu(z)
    return (h,), ((), h)


def _relu_backward(saved: Saved, dh: Array) -> tuple[Array, State]:
    _, h = saved
    return jnp.where(h > 0, dh, 0), ()


_KERNELS: dict[CellName, Kernel] = {
    "lstm": Kernel(_lstm_forward, _lstm_backward),
    "rnn-tanh": Kernel(_tanh_forward, _tanh_backward),
    "rnn-relu": Kernel(_relu_forward, _relu_backward),
}


def split_layers(weights: Mapping[str, Array], cell: CellName) -> list[dict[str, Array]]:
    """The parameters of each layer, by their names without the prefix `layers.{l}.`.

    Raises:
        ValueError: no layers, a gap in their numbers, or a missing or unknown name.
    """
    layers: dict[int, dict[str, Array]] = {}
    for name, value in weights.items():
        if match := re.fullmatch(r"layers\.(\d+)\.(\w+)", name):
            layers.setdefault(int(match[1]), {})[match[2]] = value
        elif name.startswith("layers."):
            raise ValueError(f"weights of a layer are named like layers.0.W_i, got {name!r}")
    if sorted(layers) != list(range(len(layers))) or not layers:
        raise ValueError(f"expected layers numbered 0, 1, … in the weights, got {sorted(layers) or 'none'}")
    one = {f"{kind}_{gate}" for gate in GATES[cell] for kind in ("W", "U", "b")}
    two = one | {f"bh_{gate}" for gate in GATES[cell]}
    for number, p in layers.items():
        needed = two if any(name.startswith("bh_") for name in p) else one
        if odd := p.keys() ^ needed:
            raise ValueError(
                f"layer {number} of a {cell} needs {', '.join(sorted(needed))}; "
                f"missing or unknown: {', '.join(sorted(odd))}"
            )
    return [layers[l] for l in range(len(layers))]  # noqa: E741


def _check(layers: list[dict[str, Array]], x: Array, h_0: Array, c_0: Array | None, cell: CellName) -> None:
    if (c_0 is not None) != (cell == "lstm"):
        raise ValueError(
            f"c_0 is for the LSTM, not for {cell}" if cell != "lstm" else "the LSTM needs c_0 [L, B, H]"
        )
    if x.ndim != 3 or not x.shape[0]:
        raise ValueError(f"x must be [T, B, I] with T ≥ 1, got shape {x.shape}")
    H = layers[0][f"W_{GATES[cell][0]}"].shape[0]
    expected = (len(layers), x.shape[1], H)
    for name, s in (("h_0", h_0), ("c_0", c_0)):
        if s is not None and s.shape != expected:
            raise ValueError(f"{name} must be [L, B, H] = {expected}, got {s.shape}")
    inputs = x.shape[2]
    for l, p in enumerate(layers):  # noqa: E741
        for name, value in p.items():
            shape = {"W": (H, H), "U": (H, inputs)}.get(name.split("_")[0], (H,))
            if value.shape != shape:
                raise ValueError(f"layers.{l}.{name} must be {shape}, got {value.shape}")
        inputs = H
