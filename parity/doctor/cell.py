"""The examination of a cell, from its conduct to a named fault with a counter-example."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from parity.doctor import backward
from parity.doctor.bank import Change
from parity.doctor.child import CallFailed, Unexamined
from parity.doctor.claims import Claims, claimed_h, stated_h
from parity.doctor.conduct import ONE_ROW, ROWS, SINGLE, SQUARE, Conduct, Probe, observe
from parity.doctor.examples import Examples
from parity.doctor.findings import Counterexample, Fault, Part
from parity.doctor.layout import Map, readings
from parity.doctor.lines import Lines
from parity.doctor.mapped import against
from parity.doctor.measuring import Unreadable, measure
from parity.doctor.program import GATES
from parity.doctor.reading import Reading
from parity.doctor.search import Draw, Explanation, Sample, Search, draw, fits, predict
from parity.doctor.source import Source
from parity.doctor.structure import Finding, Structure
from parity.doctor.subject import Subject, Target
from parity.doctor.unexplained import Unexplained

I, H = 2, 3  # noqa: E741
FRESH = (
    *(Draw(N=4, scale=scale) for scale in (0.03, 0.3, 1.0, 2.5)),
    Draw(cells=25.0),
    Draw(states=0.0),
    Draw(N=1, B=H),
    Draw(N=1, B=20),
)
"""The calls that an explanation must stand: faults hide at small numbers and at large ones, at zero states,
and where there are as many rows as hidden units."""
SINGLE_ROWS = Draw(B=1, scale=1.5)


@dataclass
class Examination:
    """What was found of a cell.

    Attributes:
        faults: named ones.
        warnings: see `Diagnosis`.
        wrong: it is not the LSTM of the equations.
        examined: what `faults` say all of: "cell", "classifier", "training".
        reading, explanation: None where nothing explains the cell.
        unknown: something is wrong that nothing explains.
        unexplained, leaves_at: of that.
        probes: rows compared.
    """

    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    wrong: bool = False
    examined: set[str] = field(default_factory=set)
    reading: Reading | None = None
    explanation: Explanation | None = None
    unknown: bool = False
    unexplained: Counterexample | None = None
    leaves_at: Part | None = None
    probes: int = 0


class CellDoctor:
    """One cell under examination.

    Args:
        subject: the file's process.
        target: the cell in it.
        seed: of the probes.
        entries: a map that the cell is held to.
        alone: no classifier calls it.
    """

    def __init__(
        self, subject: Subject, target: Target, seed: int, entries: Map | None = None, *, alone: bool = True
    ) -> None:
        self.subject, self.target, self.entries, self.alone = subject, target, entries, alone
        self.rng = np.random.default_rng(seed)
        self.source = Source(subject.source, target.name)
        self.lines = Lines(self.source, target.line)
        self.found = Examination()

    def examine(self) -> Examination:
        """Look at everything.

        Raises:
            Unexamined: it cannot be called, or the limits were reached.
        """
        width = self._first_call()
        shapes = self.subject.build(self.target, width, H)
        conduct = observe(self.subject, self.target, shapes, width, H, self.rng)
        probe = Probe(self.subject, conduct.dtype, fresh=conduct.remembers, by_row=conduct.mixes_rows)
        named = [Finding(change) for change in conduct.faults]
        if self.target.framework == "torch" and self.target.layout == "vectors":
            named.append(Finding(SINGLE))
        if conduct.random:
            return self._finish(named, conduct, None, None)
        explanation = structure = reading = None
        for reading in self._readings(probe, shapes, width, conduct):
            whole = (
                Probe(self.subject, conduct.dtype, fresh=conduct.remembers) if not reading.measured else probe
            )
            explanation, structure = self._explain(whole, reading, conduct)
            if explanation:
                break
        if explanation is None or structure is None or reading is None:
            case = Unexplained(
                self.subject, self.target, self.source, conduct, reading, shapes, width, H, self.rng
            )
            self.found.wrong = self.found.unknown = True
            self.found.leaves_at, self.found.unexplained = case.place(), case.proof()
            return self._finish(named + self._in_place(conduct), conduct, None, None)
        if not reading.measured:
            named = [n for n in named if n.change is not ROWS]
        self.found.reading, self.found.explanation = reading, explanation
        if reading.measured and conduct.mixes_rows:
            # what a row alone shows need not be so in a batch
            return self._finish(named + self._in_place(conduct), conduct, None, None)
        named += [Finding(c, self._parameter(c, structure)) for c in explanation.faults]
        named += structure.faults
        in_place = self._in_place(conduct)
        named += (
            in_place
            + self._exchanged(explanation)
            + self._carry(explanation)
            + self._beside(explanation, conduct)
        )
        if self.target.framework != "numpy" and not (conduct.mixes_rows or conduct.remembers):
            cut = backward.findings(self.subject, structure, conduct, self.rng)
            named += [f for f in cut if not in_place or f.change.kind != "in-place"]
        if self.entries:
            named += against(self.entries, reading, explanation)
        else:
            self._warn(explanation, structure)
        self.found.examined.add("cell")
        return self._finish(named, conduct, explanation, structure)

    def _readings(
        self, probe: Probe, shapes: dict[str, tuple[int, ...]], width: int, conduct: Conduct
    ) -> Iterator[Reading]:
        """The measured reading; before it where rows mix, or in its place, what names and shapes allow."""
        empty = Reading(shapes, width, H, 4, (), measured=False)
        h_in = claimed_h(self.target.state_names)
        claims = Claims(empty, self.source)
        stated = [r for place in (h_in, 1 - h_in) for r in readings(shapes, width, H, claims, place)]
        if conduct.mixes_rows:
            yield from stated
        bases, attempts = (3, 1) if conduct.mixes_rows or conduct.remembers else (6, 12)
        try:
            yield measure(probe, shapes, width, H, self.rng, conduct.precision, bases, attempts)
        except Unreadable:
            if not conduct.mixes_rows:
                yield from stated

    def _first_call(self) -> int:
        """The width of the input at which it can be called: I, or H where it takes no other."""
        failed = None
        for width in (I, H):
            try:
                shapes = self.subject.build(self.target, width, H)
                given = {n: self.rng.normal(0.0, 0.5, (1, *s)) for n, s in shapes.items()}
                self.subject.run(given, np.ones((1, 5, width)), *np.ones((2, 1, 5, H)), dtype="float32")
                if not shapes:
                    raise Unexamined(
                        "the cell has no parameters: nothing of it can be trained, or examined",
                        self.target.line,
                    )
            except CallFailed as error:
                failed = failed or error
            else:
                if failed:
                    self.found.faults.append(self._fault(Finding(SQUARE), None, failed.line))
                    self.found.wrong = True
                return width
        assert failed
        raise Unexamined(f"calling {self.target.name} failed: {failed.message}", failed.line)

    def _explain(
        self, probe: Probe, reading: Reading, conduct: Conduct
    ) -> tuple[Explanation | None, Structure | None]:
        """The simplest explanation that stands fresh probes; names decide between equal ones."""
        tolerance = conduct.precision.tolerance
        claims = Claims(reading, self.source)
        with np.errstate(all="ignore"):
            sample = draw(probe, reading, self.rng, Draw())
            calls = FRESH if ONE_ROW in conduct.faults else (*FRESH, SINGLE_ROWS)
            fresh = [draw(probe, reading, self.rng, how) for how in calls]
            self.found.probes = sum(s.probes for s in (sample, *fresh))
            best: tuple[tuple[float, ...], Explanation, Structure] | None = None
            # (faults, re-labellings) at which no later level can be better than the best so far; a cell whose
            # fault is known already, as where only square sizes run, is not worth a long search
            enough: tuple[int, int] = (4 if reading.measured and not self.found.faults else 2, 0)
            for faults, found in Search(reading, sample, tolerance).levels():
                if (faults, 0) >= enough:
                    break
                for e in self._as_named(found):
                    if all(_stands(e, reading, s, tolerance) for s in fresh):
                        structure = Structure(reading, e, claims)
                        rank = self._rank(e, structure, claims)
                        if best is None or rank < best[0]:
                            best = rank, e, structure
                            # what feeds gates is measured: only two of one slot may be read otherwise
                            enough = (
                                len(e.faults) + structure.doubled,
                                len(e.relabellings) + structure.doubled,
                            )
        return best[1:] if best else (None, None)

    def _as_named(self, found: Iterable[Explanation]) -> Iterator[Explanation]:
        """Each explanation; where the state called c feeds the gates, not h, also the one that says so."""
        for e in found:
            yield e
            changes = tuple(c for c in e.changes if c.name != ("state", "c-from-h"))
            if self._contrary(e) and len(changes) < len(e.changes):
                yield replace(e, changes=changes, h_in=1 - e.h_in)

    def _contrary(self, explanation: Explanation) -> bool:
        """Whether each state is used as what the other is called."""
        return stated_h(self.target.state_names) == 1 - explanation.h_in

    def _rank(self, explanation: Explanation, structure: Structure, claims: Claims) -> tuple[float, ...]:
        changes = [*explanation.faults, *(f.change for f in structure.faults)]
        in_gates = Counter(c.kind for c in changes if c.gate in GATES)
        # the same fault in all gates is one slip
        faults = len(changes) - sum(n - 1 for n in in_gates.values() if n == len(GATES))
        natural = explanation.h_in == claimed_h(self.target.state_names)
        return faults, len(explanation.relabellings), -claims.agreement(explanation), not natural

    def _parameter(self, change: Change, structure: Structure) -> str | None:
        return structure.name(change.gate) if change.gate in GATES else None

    def _in_place(self, conduct: Conduct) -> list[Finding]:
        if not conduct.changed:
            return []
        names = {"first": 0, "second": 1}
        said = [
            self.target.state_names[names[n]] if n in names and len(self.target.state_names) == 2 else n
            for n in conduct.changed
        ]
        change = Change(
            "state", "in-place", {}, "states", "LSTM",
            f"A call changes what it was given: {', '.join(said)}. The caller's tensors are overwritten.",
            "Make new tensors: c = f * c + …, and neither c *= f nor c[:] = …",
        )  # fmt: skip
        return [Finding(change)]

    def _exchanged(self, explanation: Explanation) -> list[Finding]:
        """A cell by itself that takes c for h; with a classifier around it, how that calls it decides."""
        if not self.alone or self.target.carried or explanation.h_in == explanation.h_out:
            return []
        if not self._contrary(explanation):
            return []
        change = Change(
            "state", "states-exchanged", {}, "states", "h_{t-1}, c_{t-1}",
            f"The states have changed places: {self._said(explanation)}.",
            "Use each state as what it is called.",
        )  # fmt: skip
        return [Finding(change)]

    def _said(self, explanation: Explanation) -> str:
        names = self.target.state_names
        return f"{names[explanation.h_in]} is used as h, and {names[1 - explanation.h_in]} as c"

    def _carry(self, explanation: Explanation) -> list[Finding]:
        if explanation.h_in == explanation.h_out or not self.target.carried:
            return []
        change = Change(
            "state", "carry-swapped", {}, "states", "(h_t, c_t)",
            "The carry is taken in one order and handed back in the other: the next step takes h for c.",
            "Hand the states back in the order in which they are taken.",
        )  # fmt: skip
        return [Finding(change)]

    def _beside(self, explanation: Explanation, conduct: Conduct) -> list[Finding]:
        places = ("first", "second")
        said = {
            places[1 - explanation.h_out]: "c_t",
            f"old {places[explanation.h_in]}": "h_{t-1}",
            f"old {places[1 - explanation.h_in]}": "c_{t-1}",
        }.get(conduct.beside)
        if said is None:
            return []
        change = Change(
            "state", "output-not-h", {}, "states", "(h_t, c_t)",
            f"What is handed out beside the states, for the next or the output layer, is {said}, not h_t.",
            "Hand out h_t: return (h, c), h.",
        )  # fmt: skip
        return [Finding(change)]

    def _warn(self, explanation: Explanation, structure: Structure) -> None:
        self.found.warnings += [r.explanation for r in explanation.relabellings]
        self.found.warnings += structure.warnings()
        if self._contrary(explanation) and not self._exchanged(explanation):
            self.found.warnings.append(f"exchanged: {self._said(explanation)}.")
        unnamed = stated_h(self.target.state_names) is None and not self.target.carried
        if unnamed and (explanation.h_in, explanation.h_out) == (1, 0):
            self.found.warnings.append(
                "order: the states are taken as (c, h); the handout's order is (h, c)."
            )
        if explanation.h_out == 1:
            self.found.warnings.append(
                "order: the states are handed back as (c, h); the handout's order is (h, c)."
            )
        written = self.source.written_order()
        slots = sorted(explanation.slots, key=lambda g: explanation.slots[g])
        if (
            written
            and len(set(explanation.slots.values())) == 4
            and self._is_fused(structure)
            and written[0] != slots
        ):
            self.found.warnings.append(
                f"exchanged: line {written[1]} states the order {', '.join(written[0])}; "
                f"the code uses {', '.join(slots)}."
            )

    def _is_fused(self, structure: Structure) -> bool:
        names = {structure.reading.name_of(e)[0] for e in structure.elements("f")}
        return names == {structure.reading.name_of(e)[0] for e in structure.elements("i")}

    def _finish(
        self,
        named: list[Finding],
        conduct: Conduct,
        explanation: Explanation | None,
        structure: Structure | None,
    ) -> Examination:
        examples = None
        if explanation and named:
            exchanged = any(f.change.kind == "states-exchanged" for f in named)
            examples = Examples(
                self.subject, self.target, self.source, explanation, conduct, self.rng, exchanged=exchanged
            )
        for finding in named:
            shown = examples.of(finding.change, structure) if examples else None
            self.found.faults.append(self._fault(finding, shown))
        self.found.wrong |= bool(named)
        return self.found

    def _fault(self, finding: Finding, shown: Counterexample | None, line: int | None = None) -> Fault:
        c, parameter = finding.change, finding.parameter
        return c.fault(line or self.lines.of_cell(c, parameter), parameter, shown)


def _stands(explanation: Explanation, reading: Reading, sample: Sample, tolerance: float) -> bool:
    return fits(predict(explanation, reading, sample), sample, tolerance)
