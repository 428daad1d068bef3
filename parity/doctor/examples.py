"""The counter-examples of a cell, from the student's own class or function built with one unit."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from parity.doctor import backward, counterexample, gradient
from parity.doctor.bank import Change
from parity.doctor.child import CallFailed
from parity.doctor.claims import Claims
from parity.doctor.conduct import Conduct, Probe
from parity.doctor.findings import Counterexample
from parity.doctor.measuring import Unreadable, measure
from parity.doctor.reading import Reading
from parity.doctor.search import Explanation
from parity.doctor.source import Source
from parity.doctor.structure import Structure
from parity.doctor.subject import Subject, Target

CUTS = {c.name for c in gradient.CUTS.values()} | {backward.UNLIKE.name}
SILENT = (
    "random",
    "stateful",
    "batch-dependence",
    "sizes",
    "float16",
    "float64",
    "rounded",
    "in-place",
    "unregistered",
)
"""Kinds that no single call of one unit shows."""


class Examples:
    """Made when first asked for: most cells are right.

    Args:
        subject, target: the cell.
        source: for the names.
        explanation: which slot is which gate.
        conduct: how it must be called.
        rng: of the numbers.
        exchanged: each state is given as what it is called, though it is used as the other.
    """

    def __init__(
        self,
        subject: Subject,
        target: Target,
        source: Source,
        explanation: Explanation,
        conduct: Conduct,
        rng: np.random.Generator,
        *,
        exchanged: bool = False,
    ) -> None:
        self.subject, self.target, self.source, self.exchanged = subject, target, source, exchanged
        self.explanation, self.conduct, self.rng = explanation, conduct, rng
        self._values: dict[bool, Counterexample | None] = {}

    def of(self, change: Change, structure: Structure | None) -> Counterexample | None:
        """The simplest call that shows a fault; None where a cell of one unit shows none."""
        if change.kind in SILENT:
            return None
        if change.name in CUTS:
            return self._of_gradients()
        return self.of_values(structure)

    def of_values(self, structure: Structure | None) -> Counterexample | None:
        """The simplest call that returns something else than the equations."""
        named = structure is not None
        if named not in self._values:
            self._values[named] = self._make(structure)
        return self._values[named]

    @cached_property
    def _reading(self) -> Reading | None:
        """Of the cell with H = I = 1."""
        try:
            shapes = self.subject.build(self.target, 1, 1)
            return measure(self._probe, shapes, 1, 1, self.rng, self.conduct.precision)
        except (CallFailed, Unreadable):
            return None

    @property
    def _probe(self) -> Probe:
        return Probe(self.subject, self.conduct.dtype, fresh=self.conduct.remembers)

    def _make(self, structure: Structure | None) -> Counterexample | None:
        reading = self._reading
        if reading is None or (structure and reading.slots != structure.reading.slots):
            return None
        claims = Claims(reading, self.source)
        absent = [
            (letter, f.change.gate)
            for f in (structure.faults if structure else ())
            for kind, letter in (("no-input", "U"), ("no-recurrent", "W"), ("no-bias", "b"))
            if f.change.kind == kind
        ]

        def owner(element: int) -> str | None:
            return claims.owner(element, self.explanation)

        given = self.explanation
        if self.exchanged:
            given = replace(given, h_in=1 - given.h_in)
        try:
            return counterexample.find(self._probe, reading, given, owner, absent, self.rng)
        except CallFailed:
            return None

    def _of_gradients(self) -> Counterexample | None:
        """A derivative that the framework gets wrong, at a point with numbers that are easy to work with."""
        reading = self._reading
        if reading is None or reading.slots != 4:
            return None
        claims = Claims(reading, self.source)
        structure = Structure(reading, self.explanation, claims)
        flat = self.rng.choice([-1.0, -0.5, 0.5, 1.0], reading.size)
        x, h, c = np.full((3, 1, 1), 1.0)
        states = (h, c) if self.explanation.h_in == 0 else (c, h)
        for quantity in ("h_t", "c_t"):
            first = float((quantity == "h_t") == (self.explanation.h_out == 0))
            at = gradient.Point(flat, x, *states, np.full((1, 1), first), np.full((1, 1), 1.0 - first))
            try:
                got = backward.observed(self.subject, structure, self.conduct, at)
            except CallFailed:
                return None
            want = gradient.expected(reading, self.explanation, at)
            if got is not None and np.abs(got - want).max() > counterexample.WORTH:
                return self._derivative(reading, claims, at, quantity, want, got)
        return None

    def _derivative(
        self,
        reading: Reading,
        claims: Claims,
        at: gradient.Point,
        quantity: str,
        want: np.ndarray,
        got: np.ndarray,
    ) -> Counterexample:
        n = int(np.abs(got - want).argmax())
        names = ["x_t", "h_{t-1}", "c_{t-1}"] if self.explanation.h_in == 0 else ["x_t", "c_{t-1}", "h_{t-1}"]
        P = len(at.flat)
        by = names[n - P] if n >= P else claims.alias(reading.name_of(n)[0])
        scalars = counterexample.canonical(
            reading, self.explanation, lambda e: claims.owner(e, self.explanation), at.flat[None]
        )
        given = {"x": 1.0, "h": 1.0, "c": 1.0, **scalars.one(0)}
        return Counterexample(
            dict(given), counterexample.working(given), f"∂{quantity}/∂{by}", float(want[n]), float(got[n])
        )
