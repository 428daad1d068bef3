"""Where a cell first leaves the equations, its parts isolated one after the other.

c_{t-1} = 0 silences the forget gate, a bias of ±40 holds a gate open or closed, and what is a product with
c_{t-1}, c̃, i or tanh(c_t) grows with it. The first part that is not that of the equations is named; nothing
is where names do not tell the gates apart, or two parts may be it.

Sizes: N parameter draws, B rows, H hidden units.
"""

from typing import NamedTuple

import numpy as np

from parity.doctor.findings import Part
from parity.doctor.program import GATES, Array, sigmoid
from parity.doctor.reading import Cell, Reading, Term, unflatten
from parity.doctor.search import Explanation, Sample, predict

OPEN = 40.0
"""σ of it is 1 to the last digit."""
SIZES = ((1.0, 1.0), (2.5, 1.0), (1.0, 25.0), (0.03, 1.0))
"""Of all numbers, and how much larger cell states are."""


def leaves_at(
    cell: Cell, reading: Reading, guess: Explanation, rng: np.random.Generator, tolerance: float
) -> Part | None:
    """The part where the cell first leaves the equations; None: no gate can be isolated, or none shows it."""
    if not all(biases(reading, guess).values()):
        return None
    with np.errstate(all="ignore"):
        for scale, far in SIZES:
            part = Trial(cell, reading, guess, rng, tolerance, scale, far).part()
            if part:
                return part
    return None


def biases(reading: Reading, guess: Explanation) -> dict[Part, list[Term]]:
    """Gate → the terms that are added to it, and to no other gate."""
    own = [t for t in reading.terms if t.operand[0] == "1" and len(reading.slots_of(t.element)) == 1]
    return {gate: [t for t in own if t.slot == guess.slots[gate]] for gate in GATES}


class Called(NamedTuple):
    """A call: what came of it, what the equations give, the gates' values in them; all [N, B, H]."""

    c: Array
    h: Array
    want_c: Array
    want_h: Array
    gates: dict[Part, Array]


class Trial:
    """Calls of a cell at numbers of one size, each a change of one part away from the others.

    Args:
        cell: to call.
        reading: of it, with a bias for every gate.
        guess: the right LSTM under that reading.
        rng: of the numbers.
        tolerance: absolute and relative.
        scale, far: see `SIZES`.
    """

    def __init__(
        self,
        cell: Cell,
        reading: Reading,
        guess: Explanation,
        rng: np.random.Generator,
        tolerance: float,
        scale: float,
        far: float,
    ) -> None:
        self._cell, self._reading, self._guess, self._rng = cell, reading, guess, rng
        self._tolerance, self._scale = tolerance, scale
        N, B = 3, 5
        self._flat = scale * rng.normal(0.0, 0.8, (N, reading.size))
        self._x = scale * rng.normal(0.0, 1.0, (N, B, reading.I))
        self._h, c, other = scale * rng.normal(0.0, 1.0, (3, N, B, reading.H))
        self._c, self._other, self._nothing = far * c, far * other, np.zeros_like(c)

    def part(self) -> Part | None:
        """The part where the cell leaves the equations; None: here it is right, or unclear."""
        usual = self._called()
        if self._same(usual.c, usual.want_c):
            return None if self._same(usual.h, usual.want_h) else self._of_shown(usual)
        written = self._called(c=self._nothing)
        if self._same(written.c, written.want_c):
            return self._of_kept(usual.c - written.c, written.c)
        return self._of_written(written)

    def _of_shown(self, usual: Called) -> Part:
        """Where c_t is right and h_t is not."""
        other = self._called(c=self._other)
        if self._same(usual.h * np.tanh(other.c), other.h * np.tanh(usual.c)):  # some value times tanh(c_t)
            return "o"
        opened, closed = (self._called(self._biased("o", v)) for v in (OPEN, -OPEN))
        held = self._same(opened.h, np.tanh(opened.c)) and self._same(closed.h, self._nothing)
        return "o" if held else "state"

    def _of_kept(self, kept: Array, written: Array) -> Part:
        """Where what is written into c_t is right, and what is kept of c_{t-1} is not."""
        other = self._called(c=self._other).c - written
        if self._same(kept * self._other, other * self._c):  # some value times c_{t-1}
            return "f"
        opened, closed = (self._called(self._biased("f", v)).c - written for v in (OPEN, -OPEN))
        return "f" if self._same(opened, self._c) and self._same(closed, self._nothing) else "state"

    def _of_written(self, written: Called) -> Part | None:
        """Where what is written into c_t is not right."""
        new_c, new_i = (self._called(self._biased(g), self._nothing) for g in ("c", "i"))
        by_c = self._same(written.c * new_c.gates["c"], new_c.c * written.gates["c"])  # some value times c̃
        by_i = self._same(written.c * new_i.gates["i"], new_i.c * written.gates["i"])  # i times some value
        if by_c or by_i:
            return None if by_c and by_i else "i" if by_c else "c"
        opened, closed = (self._called(self._biased("i", v), self._nothing).c for v in (OPEN, -OPEN))
        if self._same(opened, written.gates["c"]) and self._same(closed, self._nothing):
            return "i"
        saturated = self._called(self._biased("c", OPEN), self._nothing)
        return "c" if self._same(saturated.c, written.gates["i"]) else "state"

    def _called(self, flat: Array | None = None, c: Array | None = None) -> Called:
        """With other parameters, or another c_{t-1}, than usual."""
        flat, c = self._flat if flat is None else flat, self._c if c is None else c
        guess = self._guess
        first, second = (self._h, c) if guess.h_in == 0 else (c, self._h)
        out = self._cell(unflatten(self._reading.shapes, flat), self._x, first, second)
        want = predict(guess, self._reading, Sample(flat, self._x, first, second, *out))
        z = self._reading.z(flat, self._x, first, second)
        gates = {g: (np.tanh if g == "c" else sigmoid)(z[guess.slots[g]]) for g in GATES}
        return Called(out[1 - guess.h_out], out[guess.h_out], want[1 - guess.h_out], want[guess.h_out], gates)

    def _biased(self, gate: Part, value: float | None = None) -> Array:
        """The parameters with other biases of a gate: drawn anew, or of this value."""
        moved = self._flat.copy()
        for t in biases(self._reading, self._guess)[gate]:
            added = self._scale * self._rng.normal(0.0, 1.5, len(moved)) if value is None else value
            moved[:, t.element] = added / t.coefficient
        return moved

    def _same(self, a: Array, b: Array) -> bool:
        return bool((np.abs(a - b) <= self._tolerance * (1 + np.abs(b))).all())
