"""A wrong cell that nothing explains: where it first leaves the equations, and the smallest proof."""

from dataclasses import replace
from itertools import permutations

import numpy as np

from parity.doctor import counterexample
from parity.doctor.child import CallFailed
from parity.doctor.claims import Claims, claimed_h
from parity.doctor.conduct import Conduct, Probe
from parity.doctor.examples import Examples
from parity.doctor.findings import Counterexample, Part
from parity.doctor.isolating import leaves_at
from parity.doctor.layout import Shapes, readings
from parity.doctor.program import GATES, Array, sigmoid
from parity.doctor.reading import Cell, Reading, Term
from parity.doctor.search import Explanation
from parity.doctor.source import Source
from parity.doctor.subject import Subject, Target


class Unexplained:
    """A wrong cell, as names say that it is meant.

    Args:
        subject, target: the cell, built.
        source: for the names.
        conduct: how it must be called.
        reading: what is measured of it; None where nothing could be.
        shapes: of its parameters, at `width` inputs and `hidden` units.
        rng: of the numbers.
    """

    def __init__(
        self,
        subject: Subject,
        target: Target,
        source: Source,
        conduct: Conduct,
        reading: Reading | None,
        shapes: Shapes,
        width: int,
        hidden: int,
        rng: np.random.Generator,
    ) -> None:
        self.subject, self.target, self.source, self.conduct, self.rng = subject, target, source, conduct, rng
        self.h_in = claimed_h(target.state_names)
        self.h_out = self.h_in if target.carried else claimed_h(target.returns)
        self._reading, self._guess = reading, None
        if reading and reading.measured:
            self._guess = self._claimed(reading)
        self._stated = self._readings(shapes, width, hidden)

    def place(self) -> Part | None:
        """The part where it first leaves the equations, of the cell as built.

        Where the reading is only stated, a part is named if others are right under that reading.
        """
        by_row = self.conduct.mixes_rows
        probe = Probe(self.subject, self.conduct.dtype, fresh=self.conduct.remembers, by_row=by_row)
        tolerance = 10 * self.conduct.precision.tolerance
        if self._reading and self._guess:
            return leaves_at(probe, self._reading, self._guess, self.rng, tolerance)
        for reading in self._stated:
            part = leaves_at(probe, reading, self._meant, self.rng, tolerance)
            if part and part != "state":
                return part
        return None

    def proof(self) -> Counterexample | None:
        """The smallest call of a cell of one unit, built anew, that shows it."""
        if self._guess:
            examples = Examples(self.subject, self.target, self.source, self._guess, self.conduct, self.rng)
            if found := examples.of_values(None):
                return found
        probe = Probe(self.subject, self.conduct.dtype, fresh=self.conduct.remembers)
        try:
            shapes = self.subject.build(self.target, 1, 1)
            return at_zero_parameters(probe, shapes, self.h_in, self.h_out) or self._by_names(probe, shapes)
        except CallFailed:
            return None

    @property
    def _meant(self) -> Explanation:
        """The right LSTM under a stated reading."""
        return Explanation((), {g: n for n, g in enumerate(GATES)}, self.h_in, self.h_out)

    def _claimed(self, reading: Reading) -> Explanation | None:
        """The right LSTM under the measured reading, as names claim; None where they claim too little."""
        if reading.slots != 4:
            return None
        claims = Claims(reading, self.source)
        ways = [replace(self._meant, slots=dict(zip(GATES, p, strict=True))) for p in permutations(range(4))]
        best = max(ways, key=claims.agreement)
        return best if claims.agreement(best) > 0 else None

    def _readings(self, shapes: Shapes, I: int, H: int) -> list[Reading]:  # noqa: E741
        nothing = Reading(dict(shapes), I, H, 4, (), measured=False)
        return list(readings(shapes, I, H, Claims(nothing, self.source), self.h_in))

    def _by_names(self, cell: Cell, shapes: Shapes) -> Counterexample | None:
        """With nothing but c_{t-1} and biases, of which names say whose they are.

        At one unit a bias has the shape of a weight: which they are is seen at the larger size.
        """
        one, whole = self._readings(shapes, 1, 1), self._stated
        if not one or not whole:
            return None
        names = {whole[0].name_of(t.element)[0] for t in whole[0].terms if t.operand[0] == "1"}
        terms = tuple(
            Term(t.slot, 0, ("1", 0), t.element, 1.0)
            for t in one[0].terms
            if one[0].name_of(t.element)[0] in names
        )
        owner = {t.element: GATES[t.slot] for t in terms}
        only = frozenset(owner)
        return counterexample.find(
            cell, replace(one[0], terms=terms), self._meant, owner.get, (), self.rng, only=only
        )


def at_zero_parameters(cell: Cell, shapes: Shapes, h_in: int, h_out: int) -> Counterexample | None:
    """A call of a cell of one unit with all parameters 0: then every gate is 1/2, whichever feed it."""
    values = np.array([1.0, 2.0, -1.0, 0.5, -2.0, 20.0, 200.0, -200.0, 0.1])
    parameters = {n: np.zeros((1, *s)) for n, s in shapes.items()}
    zero = np.zeros((len(values), 1, 1))
    c = values.reshape(-1, 1, 1)
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
