"""A wrong cell that nothing explains: where it first leaves the equations, and the smallest proof.

Gates are isolated one after the other: a bias of 40 holds a gate open, c_{t-1} = 0 silences the forget gate.
The first part whose isolated value is not that of the equations is named; without names that tell the gates
apart nothing is.
"""

from itertools import permutations

import numpy as np

from parity.doctor import counterexample
from parity.doctor.findings import Counterexample, Part
from parity.doctor.program import GATES, Array, sigmoid
from parity.doctor.reading import Cell, Reading, unflatten
from parity.doctor.search import Explanation, Sample, predict
from parity.doctor.structure import Claims

OPEN = 40.0
"""σ of it is 1 to the last digit."""


def claimed(reading: Reading, claims: Claims, h_in: int) -> Explanation | None:
    """The right LSTM under the reading that names claim; None where they claim too little."""
    if reading.slots != 4:
        return None
    ways = [Explanation((), dict(zip(GATES, p, strict=True)), h_in, 0) for p in permutations(range(4))]
    best = max(ways, key=claims.agreement)
    return best if claims.agreement(best) > 0 else None


def leaves_at(
    cell: Cell, reading: Reading, guess: Explanation, rng: np.random.Generator, tolerance: float
) -> Part | None:
    """The part where the cell first leaves the equations; None: no gate can be isolated, or none shows it."""
    for scale, states in ((1.0, 1.0), (2.5, 1.0), (1.0, 25.0), (0.03, 1.0)):
        part = _leaves_at(cell, reading, guess, rng, tolerance, scale, states)
        if part:
            return part
    return None


def _leaves_at(
    cell: Cell,
    reading: Reading,
    guess: Explanation,
    rng: np.random.Generator,
    tolerance: float,
    scale: float,
    far: float,
) -> Part | None:
    """The same at numbers of one size, and cell states `far` larger; None: there it is right."""
    bias = {g: [t for t in reading.terms if t.slot == guess.slots[g] and t.operand[0] == "1"] for g in GATES}
    if not all(bias.values()):
        return None
    P = sum(int(np.prod(s)) for s in reading.shapes.values())
    N, B = 3, 5
    flat = scale * rng.normal(0.0, 0.8, (N, P))
    x = scale * rng.normal(0.0, 1.0, (N, B, reading.I))
    h, c = scale * rng.normal(0.0, 1.0, (2, N, B, reading.H))
    c = far * c

    def holds(*opened: Part, part: str, silent: bool = False) -> bool:
        moved = flat.copy()
        for gate in opened:
            for t in bias[gate]:
                moved[:, t.element] = OPEN
        states = (h, np.zeros_like(c) if silent else c)
        states = states if guess.h_in == 0 else states[::-1]
        out = cell(unflatten(reading.shapes, moved), x, *states)
        sample = Sample(moved, x, *states, *out)
        at = guess.h_out if part == "h" else 1 - guess.h_out
        want, got = predict(guess, reading, sample)[at], out[at]
        return bool((np.abs(want - got) <= tolerance * (1 + np.abs(got))).all())

    if holds(part="c"):
        if holds(part="h"):
            return None
        return "o" if holds("o", part="h") else "state"
    if holds(part="c", silent=True):
        return "f" if holds("f", part="c") else "state"
    if holds("i", part="c", silent=True):
        return "i"
    return "c" if holds("c", part="c", silent=True) else "state"


def proof(cell: Cell, shapes: dict[str, tuple[int, ...]], h_in: int, h_out: int) -> Counterexample | None:
    """A call of a cell of one unit with all parameters 0: then every gate is 1/2, whichever feed it."""
    values = np.array([1.0, 2.0, -1.0, 0.5, -2.0, 20.0, 200.0, -200.0, 0.1])
    parameters = {n: np.zeros((1, *s)) for n, s in shapes.items()}
    zero = np.zeros((1, len(values), 1))
    c = values.reshape(1, -1, 1)
    states = (zero, c) if h_in == 0 else (c, zero)
    out = cell(parameters, zero, *states)
    want: dict[str, Array] = {"c_t": 0.5 * values, "h_t": sigmoid(np.zeros(1)) * np.tanh(0.5 * values)}
    got = {"h_t": out[h_out].ravel(), "c_t": out[1 - h_out].ravel()}
    for quantity in ("c_t", "h_t"):
        for n in np.flatnonzero(np.abs(got[quantity] - want[quantity]) > counterexample.WORTH):
            given = {"x": 0.0, "h": 0.0, "c": float(values[n])}
            given |= {f"{letter}_{g}": 0.0 for g in GATES for letter in "WUb"}
            return Counterexample(
                dict(given),
                counterexample.working(given),
                quantity,
                float(want[quantity][n]),
                float(got[quantity][n]),
            )
    return None
