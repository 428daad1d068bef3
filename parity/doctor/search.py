"""Which programs explain what a cell returned: no change, one, two; under every way to name its gates.

A hypothesis is tested on random parameters, inputs and states; those that fit to rounding are tested again on
fresh ones, larger and smaller. Nothing is fitted, so that a hypothesis either computes what the cell computes
or is far off.

Sizes: N parameter draws, B rows, H hidden units, S slots (pre-activations per unit), M ways to name them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import combinations, permutations, product

import numpy as np

from parity.doctor.bank import FAULTS, RELABELLINGS, UNIFORM, Change, apply
from parity.doctor.findings import Part
from parity.doctor.program import Array, Circular, Late, Program, Step, run, uses
from parity.doctor.reading import Cell, Reading, unflatten

Slots = dict[Part, int]
"""Gate → its slot of the reading; gates that a program does not use are missing."""


@dataclass(frozen=True)
class Sample:
    """Calls of a cell and what they returned: parameters [N, P], x [N, B, I], the rest [N, B, H]."""

    flat: Array
    x: Array
    first: Array
    second: Array
    out_first: Array
    out_second: Array

    @property
    def probes(self) -> int:
        """How many rows were compared."""
        return int(np.prod(self.x.shape[:2]))


@dataclass(frozen=True)
class Draw:
    """How many random calls, and of what size.

    Attributes:
        N, B: parameter draws, and rows of each.
        scale: of all numbers.
        states: both states are times this.
        cells: cell states, where they are known, are times this besides.
    """

    N: int = 2
    B: int = 5
    scale: float = 1.0
    states: float = 1.0
    cells: float = 1.0


def draw(cell: Cell, reading: Reading, rng: np.random.Generator, how: Draw) -> Sample:
    """Random calls, of normal numbers."""
    N, B, scale = how.N, how.B, how.scale
    flat = scale * rng.normal(0.0, 0.8, (N, reading.size))
    x = scale * rng.normal(0.0, 1.0, (N, B, reading.I))
    states = [how.states * scale * rng.normal(0.0, 1.2, (N, B, reading.H)) for _ in range(2)]
    places = h_places(reading)
    if len(places) == 1:
        states[1 - places[0]] *= how.cells
    out = cell(unflatten(reading.shapes, flat), x, *states)
    return Sample(flat, x, states[0], states[1], *out)


def h_places(reading: Reading) -> tuple[int, ...]:
    """The places of h among the states taken: it is the one that most gates multiply by a matrix."""
    slots = range(reading.slots)
    first, second = (sum(kind in reading.kinds[s] for s in slots) for kind in ("first", "second"))
    if first == second:
        return (0, 1)
    return (0,) if first > second else (1,)


@dataclass(frozen=True)
class Explanation:
    """A program that gives what the cell gave.

    Attributes:
        changes: against the equations; empty for a right LSTM.
        slots: see `Slots`.
        h_in, h_out: the place of h among the states taken, and among those returned: 0 or 1.
    """

    changes: tuple[Change, ...]
    slots: Slots
    h_in: int
    h_out: int

    @property
    def program(self) -> Program:
        """With its changes."""
        program = apply(self.changes)
        assert program
        return program

    @property
    def faults(self) -> tuple[Change, ...]:
        """The changes that no other reading of the parameters undoes."""
        return tuple(c for c in self.changes if not c.relabels)

    @property
    def relabellings(self) -> tuple[Change, ...]:
        """The others."""
        return tuple(c for c in self.changes if c.relabels)


def predict(explanation: Explanation, reading: Reading, sample: Sample) -> tuple[Array, Array]:
    """What the explanation says the cell returns, in the cell's order, [N, B, H] each."""
    z = reading.z(sample.flat, sample.x, sample.first, sample.second)
    states = (sample.first, sample.second)
    h, c = states[explanation.h_in], states[1 - explanation.h_in]
    named: dict[str, Array] = {gate: z[slot] for gate, slot in explanation.slots.items()}
    late = late_terms(reading, sample.flat, explanation.slots, explanation.h_out)
    out = run(explanation.program, named, h, c, late)
    return (out[0], out[1]) if explanation.h_out == 0 else (out[1], out[0])


def late_terms(reading: Reading, flat: Array, slots: Slots, h_out: int) -> Late:
    """The terms of pre-activations in values of the very step."""
    return {
        gate: _adding(reading.block(kind, flat)[:, slot], name)
        for gate, slot in slots.items()
        for kind, name in _late_kinds(h_out).items()
        if kind in reading.kinds[slot]
    }


def _late_kinds(h_out: int) -> dict[str, str]:
    """Kind of operand → the value of `Step` that it is."""
    names = ("h'", "c'") if h_out == 0 else ("c'", "h'")
    return dict(zip(("new first", "new second"), names, strict=True))


def _adding(block: Array, name: str) -> Callable[[Mapping[str, Array]], Array]:
    """The product of a block [… N, H, H] with a value of the step [… N, B, H]."""
    return lambda values: np.einsum("...uk,...bk->...bu", block, values[name])


def fits(found: tuple[Array, Array], sample: Sample, tolerance: float) -> bool:
    """Whether both outputs are the sample's within the tolerance, absolute and relative."""
    return all(
        bool((np.abs(a - b) <= tolerance * (1.0 + np.abs(b))).all())
        for a, b in zip(found, (sample.out_first, sample.out_second), strict=True)
    )


@dataclass(frozen=True)
class Ways:
    """Ways to give the slots to gates that are evaluated at once: in all of them the same gates are late.

    Attributes:
        slots: [M].
        z: gate → pre-activations [M, N, B, H].
        late: the gates whose pre-activation takes values of the step itself.
    """

    slots: list[Slots]
    z: dict[str, Array]
    late: tuple[Part, ...]


class Search:
    """The hypotheses against one sample.

    Args:
        reading: of the cell.
        sample: what they must explain.
        tolerance: see `fits`.
    """

    def __init__(self, reading: Reading, sample: Sample, tolerance: float) -> None:
        self.reading, self.sample, self.tolerance = reading, sample, tolerance
        self._z = reading.z(sample.flat, sample.x, sample.first, sample.second)
        new = {"new first", "new second"}
        self._late_slots = {s for s in range(reading.slots) if reading.kinds[s] & new}
        self._c_fits: dict[tuple[object, ...], Array] = {}
        self._ways: dict[tuple[Part, ...], list[Ways]] = {}
        self._late_of: dict[tuple[object, ...], Late] = {}
        self._orders = h_places(reading)

    def levels(self) -> Iterator[tuple[int, Iterator[Explanation]]]:
        """(faults, what fits with so many, found when asked for), fewest faults first, then re-labellings."""
        flips = [r for r in RELABELLINGS if r.kind != "offset"]
        offsets = [r for r in RELABELLINGS if r.kind == "offset"]
        several = [c for n in (2, 3, 4) for c in combinations(flips, n)]
        yield 0, self._all([()])
        yield 0, self._all([(r,) for r in RELABELLINGS])
        yield 0, self._all([*several, *product(flips, offsets), *combinations(offsets, 2)])
        yield 1, self._all([(f,) for f in FAULTS])
        yield 1, self._all(product(FAULTS, RELABELLINGS))
        yield 2, self._all(combinations(FAULTS, 2))
        yield 3, self._all(UNIFORM)

    def _all(self, candidates: Iterable[tuple[Change, ...]]) -> Iterator[Explanation]:
        for changes in candidates:
            program = apply(changes)
            if program is not None:
                with np.errstate(all="ignore"):
                    found = list(self._of(changes, program))
                yield from found

    def _of(self, changes: tuple[Change, ...], program: Program) -> Iterator[Explanation]:
        for ways in self._named(uses(program)):
            for h_in in self._orders:
                for h_out in (0, 1):
                    for n in self._fitting(program, ways, h_in, h_out):
                        yield Explanation(changes, ways.slots[n], h_in, h_out)

    def _named(self, used: tuple[Part, ...]) -> list[Ways]:
        """Every way to give the slots to the gates used: all slots, and at most one of them twice."""
        if used not in self._ways:
            S = self.reading.slots
            found: list[tuple[int, ...]] = []
            if len(used) == S:
                found = list(permutations(range(S)))
            elif 0 < S == len(used) - 1:
                found = [p for p in product(range(S), repeat=len(used)) if len(set(p)) == S]
            groups: dict[tuple[Part, ...], list[tuple[int, ...]]] = {}
            for p in found:
                late = tuple(g for g, slot in zip(used, p, strict=True) if slot in self._late_slots)
                groups.setdefault(late, []).append(p)
            self._ways[used] = [
                Ways(
                    [dict(zip(used, p, strict=True)) for p in ways],
                    {gate: self._z[[p[n] for p in ways]] for n, gate in enumerate(used)},
                    late,
                )
                for late, ways in groups.items()
            ]
        return self._ways[used]

    def _fitting(self, program: Program, ways: Ways, h_in: int, h_out: int) -> Iterator[np.intp]:
        """Which of the ways give what was returned."""
        key = (_of_c(program), tuple(ways.z), ways.late, h_in, h_out)
        mask = self._c_fits.get(key)
        if mask is not None and not mask.any():
            return
        states, targets = (
            (self.sample.first, self.sample.second),
            (self.sample.out_first, self.sample.out_second),
        )
        M = len(ways.slots)
        if (ways.late, tuple(ways.z), h_out) not in self._late_of:
            self._late_of[ways.late, tuple(ways.z), h_out] = self._late(ways, h_out)
        late = self._late_of[ways.late, tuple(ways.z), h_out]
        step = Step(program, ways.z, states[h_in], states[1 - h_in], late)
        try:
            if mask is None:
                mask = self._c_fits[key] = self._near(step[program.stored], targets[1 - h_out], M)
            if mask.any():
                mask = mask & self._near(step[program.shown], targets[h_out], M)
        except Circular:
            return
        yield from np.flatnonzero(mask)

    def _late(self, ways: Ways, h_out: int) -> Late:
        """As `late_terms`, for all ways at once: blocks are [M, N, H, H]."""
        late: dict[str, Callable[[Mapping[str, Array]], Array]] = {}
        for gate in ways.late:
            slots = [s[gate] for s in ways.slots]
            for kind, name in _late_kinds(h_out).items():
                block = np.moveaxis(self.reading.block(kind, self.sample.flat)[:, slots], 1, 0)
                if block.any():
                    late[gate] = _adding(block, name)
        return late

    def _near(self, value: Array, target: Array, ways: int = 1) -> Array:
        """Which ways to name the slots give the target [N, B, H]: [M] of bool."""
        near = np.abs(value - target) <= self.tolerance * (1.0 + np.abs(target))
        return np.asarray(np.broadcast_to(near, (ways, *target.shape)).all((1, 2, 3)))


_H_FIELDS = {"o", "out", "out_op", "squash", "squashed", "outside", "shown"}
_C_FIELDS = tuple(f.name for f in fields(Program) if f.name not in _H_FIELDS | {"flipped", "offsets"})


def _of_c(program: Program) -> tuple[object, ...]:
    """What the returned cell state depends on: programs that agree here need it computed once."""
    in_c = (program.keep, program.write, program.candidate, program.exchanged)
    if (
        program.stored in ("h'", "o*c'")
        or any("o" in part.split("-") for part in in_c[:3])
        or "o" in program.exchanged
    ):
        return (program,)
    flipped, offsets = program.flipped - {"o"}, tuple(o for o in program.offsets if o[0] != "o")
    return (flipped, offsets, *(getattr(program, name) for name in _C_FIELDS))
