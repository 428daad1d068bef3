"""What a classifier may do around its cell: the last line of the equations, and the loop before it.

    h_0 = c_0 = 0;   h_t, c_t = LSTM(x_t, h_{t-1}, c_{t-1}) for t = 1 … T;   logits = W_out h_T + b_out

An `Unrolling` with its defaults is that. Sizes: N parameter draws, B images, T time steps, H hidden units, C
classes, L layers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from parity.doctor.program import Array, activate, run, softmax
from parity.doctor.reading import Reading
from parity.doctor.search import Explanation, late_terms


@dataclass(frozen=True)
class Unrolling:
    """One reading of what a classifier does.

    Attributes:
        start: "zeros", "ones", "h ones", "c ones" or "learned" (parameters of the classifier).
        reverse: the last time step comes first.
        skipped: the step left out: "" or "first".
        only: the step that all others are given too: "", "first" or "last".
        carried: what goes on to the next step: "both", "none", "h" or "c".
        swapped: the cell is given (c, h).
        read: what is read out: "last", "first", "second last", "mean", "sum", "max" or "c".
        between: what a layer hands to the next: "h", "c", or "x" (every layer sees the input).
        axes: how x [B, T, I] is taken: "BTI", "TBI" (the first axis is time, the outputs of the last column
            are read), "images" (the first axis is time, of the last column every step is read), "reshaped"
            (the numbers read in order as [T, B, I]), "columns" (the last axis is time; only where I = T).
        before: an activation of what is read out.
        after: an activation of the logits.
        bias: W_out has its bias.
    """

    start: str = "zeros"
    reverse: bool = False
    skipped: str = ""
    only: str = ""
    carried: str = "both"
    swapped: bool = False
    read: str = "last"
    between: str = "h"
    axes: str = "BTI"
    before: str = "none"
    after: str = "none"
    bias: bool = True


@dataclass(frozen=True)
class Layer:
    """One layer of a classifier: its cell's reading and explanation, and its parameters [N, P]."""

    reading: Reading
    explanation: Explanation
    flat: Array

    def step(self, x: Array, h: Array, c: Array) -> tuple[Array, Array]:
        """One step: x [N, B, I], states [N, B, H] → (h, c)."""
        e, r = self.explanation, self.reading
        z = r.z(self.flat, x, *((h, c) if e.h_in == 0 else (c, h)))
        late = late_terms(r, self.flat, e.slots, e.h_out)
        return run(e.program, {g: z[s] for g, s in e.slots.items()}, h, c, late)


@dataclass(frozen=True)
class Output:
    """The output layer: W_out [N, C, H], b_out [N, C]; its start states (h, c) [N, H], if it has any."""

    W: Array
    b: Array
    start: tuple[Array, Array] | None = None


def simulate(u: Unrolling, layers: Sequence[Layer], output: Output, x: Array) -> Array:
    """The logits [N, B, C] (with axes "TBI": [N, T, C]) for x [N, B, T, I]."""
    if u.axes == "BTI":
        x = np.moveaxis(x, 2, 0)
    elif u.axes in ("TBI", "images"):
        x = np.moveaxis(x, 1, 0)
    elif u.axes == "columns":
        x = np.moveaxis(x, 3, 0)
    else:
        N, B, T, I = x.shape  # noqa: E741
        x = np.moveaxis(x.reshape(N, T, B, I), 1, 0)
    x = x[::-1] if u.reverse else x
    x = x[1:] if u.skipped == "first" else x
    if u.only:
        x = np.broadcast_to(x[0 if u.only == "first" else -1], x.shape)
    states = [_start(u, x, output, layer.reading.H) for layer in layers]
    start = list(states)
    read = []
    for x_t in x:
        below = x_t
        for n, layer in enumerate(layers):
            h, c = _carried(u, states[n], start[n])
            states[n] = layer.step(below, *((c, h) if u.swapped else (h, c)))
            below = {"h": states[n][0], "c": states[n][1], "x": x_t}[u.between]
        read.append(states[-1][1 if u.read == "c" else 0])
    hs = np.stack(read)
    seen = np.moveaxis(hs[:, :, -1], 0, 1) if u.axes == "images" else _read(u, hs)
    logits = np.einsum("nbh,nch->nbc", activate(u.before, seen), output.W)
    logits = logits + output.b[:, None] * u.bias
    return np.log(softmax(logits)) if u.after == "log-softmax" else activate(u.after, logits)


def _start(u: Unrolling, x: Array, output: Output, H: int) -> tuple[Array, Array]:
    _, N, B, _ = x.shape
    if u.start == "learned" and output.start:
        h, c = output.start
        return np.broadcast_to(h[:, None], (N, B, H)), np.broadcast_to(c[:, None], (N, B, H))
    ones, zeros = np.ones((N, B, H)), np.zeros((N, B, H))
    return (
        ones if u.start in ("ones", "h ones") else zeros,
        ones if u.start in ("ones", "c ones") else zeros,
    )


def _carried(u: Unrolling, state: tuple[Array, Array], start: tuple[Array, Array]) -> tuple[Array, Array]:
    return (
        state[0] if u.carried in ("both", "h") else start[0],
        state[1] if u.carried in ("both", "c") else start[1],
    )


def _read(u: Unrolling, hs: Array) -> Array:
    """What goes to the output layer, from h of every step [T, N, B, H]."""
    if u.read == "first":
        return hs[0]
    if u.read == "second last":
        return hs[max(len(hs) - 2, 0)]
    over: dict[str, Callable[[int], Array]] = {"mean": hs.mean, "sum": hs.sum, "max": hs.max}
    return over[u.read](0) if u.read in over else hs[-1]
