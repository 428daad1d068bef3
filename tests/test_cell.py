"""One step against the equations written out number by number, and fresh parameters."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_lstm.cell import GATES, STEPS, init_layer
from jax_lstm.config import CellName

B, I, H = 3, 5, 4  # noqa: E741
CELLS: list[CellName] = list(GATES)


def random_params(cell: CellName, biases: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights with nothing symmetric, zero or equal about them."""
    rng = np.random.default_rng(seed)
    shapes = {"W": (H, H), "U": (H, I), "b": (H,), "bh": (H,)}
    kinds = ("W", "U", "b", "bh")[: 2 + biases]
    return {f"{kind}_{g}": rng.normal(size=shapes[kind]) for g in GATES[cell] for kind in kinds}


def by_hand(cell: CellName, p: dict[str, np.ndarray], state: tuple, x: np.ndarray) -> list[np.ndarray]:
    """The equations in scalars, one unit of one image at a time."""

    def z(gate: str, n: int, k: int) -> float:
        total = p[f"b_{gate}"][k] + p.get(f"bh_{gate}", np.zeros(H))[k]
        total += sum(p[f"W_{gate}"][k, j] * state[0][n, j] for j in range(H))
        return total + sum(p[f"U_{gate}"][k, j] * x[n, j] for j in range(I))

    def sigmoid(v: float) -> float:
        return 1 / (1 + math.exp(-v))

    new = [np.zeros((B, H)) for _ in state]
    for n in range(B):
        for k in range(H):
            if cell == "lstm":
                i, f, o = (sigmoid(z(gate, n, k)) for gate in "ifo")
                c = f * state[1][n, k] + i * math.tanh(z("c", n, k))
                new[0][n, k], new[1][n, k] = o * math.tanh(c), c
            else:
                v = z("h", n, k)
                new[0][n, k] = math.tanh(v) if cell == "rnn-tanh" else max(v, 0.0)
    return new


def on_jax(p: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    return {name: jnp.asarray(w) for name, w in p.items()}


def inputs(cell: CellName) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    rng = np.random.default_rng(1)
    return tuple(rng.normal(size=(B, H)) for _ in range(2 if cell == "lstm" else 1)), rng.normal(size=(B, I))


@pytest.mark.parametrize("biases", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_a_step_is_the_equations(cell: CellName, biases: int) -> None:
    p, (state, x) = random_params(cell, biases), inputs(cell)
    with jax.enable_x64(True):
        found = STEPS[cell](on_jax(p), tuple(map(jnp.asarray, state)), jnp.asarray(x))
    np.testing.assert_allclose(found, by_hand(cell, p, state, x), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", sorted(random_params("lstm", 2)))
def test_every_parameter_is_used_and_none_for_another(name: str) -> None:
    """A nudge of any one parameter moves the step exactly as it moves the equations."""
    p, (state, x) = random_params("lstm", 2), inputs("lstm")
    nudged = {**p, name: p[name] + 1e-3}
    with jax.enable_x64(True):
        before = np.asarray(STEPS["lstm"](on_jax(p), tuple(map(jnp.asarray, state)), jnp.asarray(x)))
        after = np.asarray(STEPS["lstm"](on_jax(nudged), tuple(map(jnp.asarray, state)), jnp.asarray(x)))
    assert np.abs(after - before).max() > 1e-6
    np.testing.assert_allclose(after, by_hand("lstm", nudged, state, x), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("init", "bound"), [("torch", 64**-0.5), ("torch-linear", (28 + 64) ** -0.5)])
def test_pytorch_initialisations_are_uniform_within_their_bound(init: str, bound: float) -> None:
    p = init_layer(jax.random.key(0), "lstm", 28, 64, biases=2, init=init)  # type: ignore[arg-type]
    assert len(p) == 16
    for name, w in p.items():
        assert w.shape == {"W": (64, 64), "U": (64, 28)}.get(name[0], (64,))
        assert float(jnp.abs(w).max()) <= bound
        assert float(jnp.abs(w).max()) > 0.9 * bound
        assert abs(float(w.mean())) < 5 * bound / math.sqrt(3 * w.size)
    flat = [np.asarray(w).ravel()[:64] for w in p.values()]
    assert len({w.tobytes() for w in flat}) == 16


def test_flax_initialisation() -> None:
    p = init_layer(jax.random.key(0), "lstm", 28, 64, init="flax")
    for gate in "ifoc":
        np.testing.assert_allclose(p[f"W_{gate}"] @ p[f"W_{gate}"].T, np.eye(64), atol=1e-5)
        assert float(p[f"U_{gate}"].std()) == pytest.approx(28**-0.5, rel=0.1)
        assert not p[f"b_{gate}"].any()


def test_the_forget_bias_is_added_to_the_forget_gate_alone() -> None:
    plain = init_layer(jax.random.key(0), "lstm", 3, 4)
    lifted = init_layer(jax.random.key(0), "lstm", 3, 4, forget_bias=1.0)
    for name, w in plain.items():
        np.testing.assert_array_equal(lifted[name], w + 1 if name == "b_f" else w)
