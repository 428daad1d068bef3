"""One call that a person can check by hand: one hidden unit, one input, numbers with one decimal at most.

The equations are worked out with the parameters as the student's code owns them (b_o is the output gate's,
whatever it feeds), and set beside what the code returned.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from parity.doctor.findings import Counterexample
from parity.doctor.program import GATES, Array, sigmoid
from parity.doctor.reading import Cell, Reading, unflatten
from parity.doctor.search import Explanation

DRAWS = 384
WORTH = 0.02
"""Outputs that differ by less are not worth showing."""

LETTERS = {"x": "U", "1": "b", "first": "W", "second": "W", "sum": "W", "new first": "W", "new second": "W"}
Owner = Callable[[int], str | None]
Absent = Collection[tuple[str, str]]


@dataclass(frozen=True)
class Scalars:
    """The canonical parameters at H = I = 1 for N draws: W, U, b by gate, [N] each."""

    W: Mapping[str, Array]
    U: Mapping[str, Array]
    b: Mapping[str, Array]

    def one(self, n: int) -> dict[str, float]:
        """Those of one draw, by the equations' names."""
        return {
            f"{letter}_{g}": float(getattr(self, letter)[g][n]) for g in GATES for letter in ("W", "U", "b")
        }


def find(
    cell: Cell,
    reading: Reading,
    explanation: Explanation,
    owner: Owner,
    absent: Absent,
    rng: np.random.Generator,
    only: frozenset[int] | None = None,
) -> Counterexample | None:
    """The simplest call of a cell of one unit that shows a difference; None where none is seen.

    Args:
        cell: built with H = I = 1.
        reading: of that cell.
        explanation: names its slots.
        owner: the gate that a single parameter of that cell belongs to.
        absent: parameters that the equations have and the cell has not; they count as 1.
        only: the single parameters to try; x and h then are 0.
    """
    draws = _draws(reading, rng)
    numbers = np.arange(draws[0].shape[1])
    shown = np.isin(numbers, _shown(reading, explanation, owner))
    if only is not None:
        flat, c = draws[0] * np.isin(numbers, list(only)) * shown, draws[3]
        return _best(cell, reading, explanation, owner, absent, (flat, *np.zeros((2, DRAWS)), c), ())
    others = [int(e) for e in numbers[~shown] if e not in reading.dead]
    return _best(cell, reading, explanation, owner, absent, (draws[0] * shown, *draws[1:]), ()) or _best(
        cell, reading, explanation, owner, absent, draws, others
    )


def _best(
    cell: Cell,
    reading: Reading,
    explanation: Explanation,
    owner: Owner,
    absent: Absent,
    draws: tuple[Array, ...],
    others: Sequence[int],
) -> Counterexample | None:
    """The simplest of some draws.

    Args:
        draws: parameters [N, P], x, h and c [N].
        others: single parameters that are none of W, U and b, and are shown by their own names.
    """
    flat, x, h, c = draws
    states = (h, c) if explanation.h_in == 0 else (c, h)
    out = cell(unflatten(reading.shapes, flat), *(a.reshape(-1, 1, 1) for a in (x, *states)))
    got = {"h_t": out[explanation.h_out].ravel(), "c_t": out[1 - explanation.h_out].ravel()}
    scalars = canonical(reading, explanation, owner, flat)
    for letter, gate in absent:
        values = getattr(scalars, letter)[gate]
        values[:] = np.where(values == 0.0, 1.0, values)
    want = equations(scalars, x, h, c)
    best: tuple[float, int, str] | None = None
    for quantity in ("c_t", "h_t"):
        gap = np.abs(got[quantity] - want[quantity])
        for k in np.flatnonzero(np.isfinite(gap) & (gap > WORTH)):
            cost = _cost(flat[k], x[k], h[k], c[k]) - min(float(gap[k]), 0.5) + 0.5 * (quantity == "h_t")
            if best is None or cost < best[0]:
                best = (cost, int(k), quantity)
    if best is None:
        return None
    _, n, quantity = best
    given = {"x": float(x[n]), "h": float(h[n]), "c": float(c[n]), **scalars.one(n)}
    own = {_named(reading, e): float(flat[n, e]) for e in others}
    if set(own) & set(given):  # W_f of the code, which is not that of the equations
        return None
    return Counterexample(
        given={**given, **own},
        working=working(given),
        quantity=quantity,
        expected=float(want[quantity][n]),
        got=float(got[quantity][n]),
    )


def _named(reading: Reading, element: int) -> str:
    """A single parameter as the student's code has it."""
    name, index = reading.name_of(element)
    single = int(np.prod(reading.shapes[name])) == 1
    return name if single else f"{name}[{', '.join(map(str, index))}]"


def _draws(reading: Reading, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Numbers such as a person would choose, more and more of them other than 0."""
    P = reading.size
    nice = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])
    numbers = rng.choice(nice, (DRAWS, P + 3))
    share = np.linspace(0.05, 0.9, DRAWS)[:, None]
    numbers = np.where(rng.random((DRAWS, P + 3)) < share, numbers, 0.0)
    return numbers[:, 3:], numbers[:, 0], numbers[:, 1], numbers[:, 2]


def _cost(flat: Array, *operands: Array) -> float:
    """How much there is to work out by hand: numbers other than 0."""
    return float(np.count_nonzero(flat)) + 0.7 * sum(float(o != 0) for o in operands)


def canonical(reading: Reading, explanation: Explanation, owner: Owner, flat: Array) -> Scalars:
    """W, U and b of every gate from its own parameters, with re-labellings undone."""

    def zeros() -> dict[str, Array]:
        return {g: np.zeros(len(flat)) for g in GATES}

    out = Scalars(zeros(), zeros(), zeros())
    done: set[tuple[int, str]] = set()
    program = explanation.program
    own_h = ("first", "second")[explanation.h_in]
    sees_h = {t.slot for t in reading.terms if t.operand[0] == own_h}
    for t in reading.terms:
        if t.slot in sees_h and t.operand[0] not in (own_h, "x", "1"):
            continue  # a peephole, which the equations have not
        gate = owner(t.element)
        letter = LETTERS[t.operand[0]]
        if gate and (t.element, letter) not in done:
            done.add((t.element, letter))
            sign = -1.0 if gate in program.flipped else 1.0
            getattr(out, letter)[gate] += sign * t.coefficient * flat[:, t.element]
    for e in reading.dead:
        gate, like = owner(e), _letter(reading, e)
        if gate and like:
            getattr(out, like)[gate] += flat[:, e]
    for gate, offset in program.offsets:
        out.b[gate] += -offset if gate in program.flipped else offset
    return out


def _shown(reading: Reading, explanation: Explanation, owner: Owner) -> list[int]:
    """The single parameters of which W, U and b are made: the others stay 0, as no one would see them."""
    P = reading.size
    p = canonical(reading, replace(explanation, changes=()), owner, np.eye(P))
    return [e for e in range(P) if any(abs(v) > 0 for v in p.one(e).values())]


def _letter(reading: Reading, element: int) -> str | None:
    """What a parameter without effect would multiply: what its like in an array of the same shape does."""
    name, index = reading.name_of(element)
    shape = reading.shapes[name]
    kind = name.rsplit(".", 1)[-1].lower()[:1]
    for t in reading.terms:
        other, at = reading.name_of(t.element)
        if reading.shapes[other] == shape and at == index and other.rsplit(".", 1)[-1].lower()[:1] == kind:
            return LETTERS[t.operand[0]]
    return None


def equations(p: Scalars, x: Array, h: Array, c: Array) -> dict[str, Array]:
    """The nine equations at H = I = 1, for N draws."""
    z = {g: p.W[g] * h + p.U[g] * x + p.b[g] for g in GATES}
    c_t = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["c"])
    return {"c_t": c_t, "h_t": sigmoid(z["o"]) * np.tanh(c_t)}


def working(given: Mapping[str, float]) -> tuple[str, ...]:
    """The equations worked out line by line, with four decimals; products with 0 are left out."""
    g = dict(given)
    lines, values = [], {}
    for gate in GATES:
        W, U, b = (g[f"{letter}_{gate}"] for letter in "WUb")
        z = W * g["h"] + U * g["x"] + b + 0.0  # no -0
        values[gate] = float(np.tanh(z) if gate == "c" else sigmoid(np.array(z)))
        name, act = ("c̃", "tanh") if gate == "c" else (gate, "σ")
        terms = [f"{_n(m)}·{_n(v)}" for m, v in ((W, g["h"]), (U, g["x"])) if m * v] + [_n(b)] * bool(b)
        worked = f"{act}({' + '.join(terms)}) = " if len(terms) > 1 or "·" in "".join(terms) else ""
        lines.append(f"{name} = {worked}{act}({z:g}) = {values[gate]:.4f}")
    c_t = values["f"] * g["c"] + values["i"] * values["c"]
    kept, written = f"{values['f']:.4f}·{_n(g['c'])}", f"{values['i']:.4f}·{_n(values['c'], '.4f')}"
    lines.append(f"c_t = {kept} + {written} = {c_t:.4f}")
    lines.append(f"h_t = {values['o']:.4f}·tanh({c_t:.4f}) = {values['o'] * np.tanh(c_t):.4f}")
    return tuple(lines)


def _n(value: float, form: str = "g") -> str:
    """A number, in brackets where it is negative."""
    text = f"{value:{form}}"
    return f"({text})" if value < 0 else text
