"""A call of a classifier to check by hand: one unit, one input, three time steps, two classes."""

from collections.abc import Sequence

import numpy as np

from parity.doctor.claims import Claims
from parity.doctor.counterexample import Scalars, _n, canonical
from parity.doctor.findings import Counterexample
from parity.doctor.program import GATES, Array, sigmoid
from parity.doctor.reading import Reading
from parity.doctor.search import Explanation

CLASSES, STEPS, DRAWS = 2, 3, 96
WORTH = 0.02


def draws(P: int, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Flat cell parameters [N, P], x [N, 1, STEPS, 1], W_out [N, 2, 1], b_out [N, 2]; many zeros first."""
    nice = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])
    share = np.linspace(0.1, 0.9, DRAWS)[:, None]

    def some(*shape: int) -> Array:
        numbers = rng.choice(nice, (DRAWS, int(np.prod(shape))))
        kept = rng.random(numbers.shape) < share
        return np.where(kept, numbers, 0.0).reshape(DRAWS, *shape)

    W_out = np.tile(np.array([[1.0], [-1.0]]), (DRAWS, 1, 1))
    return some(P), some(1, STEPS, 1), W_out, some(CLASSES)


def scalars(reading: Reading, explanation: Explanation, claims: Claims, flat: Array) -> Scalars:
    """The canonical parameters of each draw."""
    return canonical(reading, explanation, lambda e: claims.owner(e, explanation), flat)


def expected(p: Scalars, x: Array, W_out: Array, b_out: Array) -> tuple[Array, list[tuple[Array, Array]]]:
    """The logits [N, 2] of the equations, and (c_t, h_t) [N] of every step."""
    h = c = np.zeros(len(x))
    steps = []
    for t in range(x.shape[2]):
        x_t = x[:, 0, t, 0]
        z = {g: p.W[g] * h + p.U[g] * x_t + p.b[g] for g in GATES}
        c = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["c"])
        h = sigmoid(z["o"]) * np.tanh(c)
        steps.append((c, h))
    return W_out[:, :, 0] * h[:, None] + b_out, steps


def simplest(p: Scalars, x: Array, W_out: Array, b_out: Array, got: Array) -> Counterexample | None:
    """The call with the fewest numbers other than 0 whose first logit [N, 1, 2] leaves the equations."""
    want, steps = expected(p, x, W_out, b_out)
    gap = np.abs(got[:, 0, 0] - want[:, 0])
    worth = np.flatnonzero(np.isfinite(gap) & (gap > WORTH))
    if not len(worth):
        return None
    ones = [p.one(int(n)) for n in range(len(x))]
    cost = [sum(v != 0 for v in one.values()) + np.count_nonzero(x[n]) for n, one in enumerate(ones)]
    n = int(min(worth, key=lambda n: cost[n] - min(gap[n], 0.5)))
    h = float(steps[-1][1][n])
    W, b = float(W_out[n, 0, 0]), float(b_out[n, 0])
    return Counterexample(
        given={"x": [float(v) for v in x[n, 0, :, 0]], **ones[n], "W_out": W, "b_out": b},
        working=(*_lines([(float(c[n]), float(h[n])) for c, h in steps]), _last(W, h, b)),
        quantity="logits",
        expected=float(want[n, 0]),
        got=float(got[n, 0, 0]),
    )


def _lines(steps: Sequence[tuple[float, float]]) -> list[str]:
    return [f"t = {t}: c_{t} = {c:.4f}, h_{t} = {h:.4f}" for t, (c, h) in enumerate(steps, 1)]


def _last(W: float, h: float, b: float) -> str:
    return f"logit of the first class = {_n(W)}·{_n(h, '.4f')} + {_n(b)} = {W * h + b:.4f}"
