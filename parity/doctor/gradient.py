"""Whether gradients flow where the explained program says, and where they are cut.

The values are explained by then. What the framework's automatic differentiation gives is compared with the
derivatives of the explanation; where they part, the explanation is differentiated once more with single
values held fixed, as `detach` and `stop_gradient` hold them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from parity.doctor.bank import EQUATIONS, LETTERS, Change
from parity.doctor.findings import Part
from parity.doctor.program import GATES, Array, Step
from parity.doctor.reading import Reading, flatten
from parity.doctor.search import Explanation, late_terms
from parity.doctor.subject import Gradients

STEP = 1e-5


@dataclass(frozen=True)
class Point:
    """One call: flat parameters [P], x [B, I], states [B, H], and the weights of the outputs, [B, H]."""

    flat: Array
    x: Array
    first: Array
    second: Array
    weight_first: Array
    weight_second: Array

    def vector(self) -> Array:
        """All that can be differentiated by, in one row."""
        return np.concatenate([a.ravel() for a in (self.flat, self.x, self.first, self.second)])


def _cut(gate: Part, kind: str, equation: str, term: str, what: str) -> Change:
    return Change(
        gate,
        kind,
        {},
        equation,
        term,
        f"The values are right, but no gradient flows through {what}.",
        f"Let {what} stay in the graph: "
        "leave detach(), .data, .item(), no_grad, NumPy and stop_gradient away there.",
    )


CUTS: dict[str, Change] = {
    **{f"gate {g}": _cut(g, "detached", g, "σ", LETTERS[g]) for g in GATES[:3]},
    "gate c": _cut("c", "detached", "c", "c̃", "c̃"),
    "h": _cut("state", "h-detached", "states", "h_{t-1}", "h_{t-1}"),
    "c": _cut("state", "c-detached", "c_t", "c_{t-1}", "c_{t-1}"),
    "squashed": _cut("state", "new-c-detached", "h_t", "c_t", "c_t on its way to h_t"),
    "x": _cut("state", "x-detached", "states", "x_t", "x_t"),
    "h'": _cut("state", "returned-h-detached", "states", "h_t", "the h_t that is handed back"),
    "stored": _cut("state", "returned-c-detached", "states", "c_t", "the c_t that is handed back"),
}
assert all(EQUATIONS[c.equation].count(c.term) == 1 for c in CUTS.values())


def point(reading: Reading, rng: np.random.Generator, B: int = 5) -> Point:
    """A random one."""
    H, I = reading.H, reading.I  # noqa: E741
    return Point(rng.normal(0, 0.7, reading.size), *(rng.normal(0, 1, (B, n)) for n in (I, H, H, H, H)))


def expected(
    reading: Reading, explanation: Explanation, at: Point, frozen: frozenset[str] = frozenset()
) -> Array:
    """The derivatives by all of `Point.vector`, with some values held fixed."""
    base = at.vector()
    n = len(base)
    moved = base + STEP * np.concatenate([np.eye(n), -np.eye(n)])
    up_down = _objective(reading, explanation, at, moved, frozen)
    grad = (up_down[:n] - up_down[n:]) / (2 * STEP)
    return grad


def _objective(
    reading: Reading, explanation: Explanation, at: Point, rows: Array, frozen: frozenset[str]
) -> Array:
    """The weighted sum of the outputs for each row of numbers; frozen values are those of `at` itself."""
    program = explanation.program
    hold = {}
    if frozen:
        base, *_ = _steps(reading, explanation, at, at.vector()[None], {}, None)
        hold = {f: base[f] for f in frozen if f not in ("h", "x", "squashed", "stored", "h'")}
    step, (h_weight, c_weight) = _steps(reading, explanation, at, rows, hold, frozen)
    shown, stored = step[program.shown], step[program.stored]
    if frozen & {"squashed", "h'", "stored"}:
        if "squashed" in frozen:
            held, _ = _steps(
                reading, explanation, at, rows, {**hold, program.squashed: base[program.squashed]}, frozen
            )
            shown = held[program.shown]
        if "h'" in frozen:
            shown = base[program.shown]
        if "stored" in frozen:
            stored = base[program.stored]
    total: Array = (shown * h_weight).sum((-1, -2)) + (stored * c_weight).sum((-1, -2))
    return np.broadcast_to(total, (len(rows),))


def _steps(
    reading: Reading,
    explanation: Explanation,
    at: Point,
    rows: Array,
    hold: Mapping[str, Array],
    frozen: frozenset[str] | None,
) -> tuple[Step, tuple[Array, Array]]:
    P, (B, I), H = len(at.flat), at.x.shape, reading.H  # noqa: E741
    flat, x, first, second = np.split(rows, np.cumsum([P, B * I, B * H]), axis=1)
    x, first, second = x.reshape(-1, B, I), first.reshape(-1, B, H), second.reshape(-1, B, H)
    frozen = frozen or frozenset()
    h, c = (first, second) if explanation.h_in == 0 else (second, first)
    if "h" in frozen:
        base_h = at.first if explanation.h_in == 0 else at.second
        h = np.broadcast_to(base_h, h.shape)
    if "x" in frozen:
        x = np.broadcast_to(at.x, x.shape)
    states = (h, c) if explanation.h_in == 0 else (c, h)
    z = reading.z(flat, x, *states)
    named: dict[str, Array] = {gate: z[slot] for gate, slot in explanation.slots.items()}
    step = Step(
        explanation.program,
        named,
        h,
        c,
        late_terms(reading, flat, explanation.slots, explanation.h_out),
        hold,
    )
    weights = (at.weight_first, at.weight_second)
    return step, (weights[explanation.h_out], weights[1 - explanation.h_out])


def observed(reading: Reading, at: Point, gradients: Gradients) -> Array:
    """What the framework gave, in the order of `Point.vector`; None is 0."""

    def whole(g: Array | None, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape) if g is None else np.asarray(g, np.float64).reshape(shape)

    by_name = {n: whole(gradients.parameters.get(n), s)[None] for n, s in reading.shapes.items()}
    inputs = {"x": at.x, "first": at.first, "second": at.second}
    parts = [whole(gradients.inputs.get(n), a.shape).ravel() for n, a in inputs.items()]
    return np.concatenate([flatten(reading.shapes, by_name)[0], *parts])


def cuts(
    reading: Reading, explanation: Explanation, at: Point, got: Array, tolerance: float
) -> list[Change] | None:
    """The cuts that explain the framework's gradients: [] where none is needed, None where none do."""

    def same(want: Array) -> bool:
        return bool(np.abs(got - want).max() <= tolerance * (1.0 + np.abs(want).max()))

    for frozen in _sets():
        if same(expected(reading, explanation, at, frozen)):
            return [CUTS[name] for name in CUTS if name in frozen]
    return None


def _sets() -> Iterator[frozenset[str]]:
    for n in (0, 1, 2, 3):
        yield from (frozenset(c) for c in combinations(CUTS, n))


def untouched(reading: Reading, want: Array, got: Array) -> list[int]:
    """Single parameters that should get a gradient and get none."""
    P = reading.size
    top = np.abs(want[:P]).max()
    return [e for e in range(P) if abs(want[e]) > 1e-3 * top and got[e] == 0.0]
