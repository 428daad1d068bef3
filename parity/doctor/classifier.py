"""The examination of a classifier: what stands around its cell."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

import numpy as np

from parity.doctor import classifier_example
from parity.doctor.bank import Change
from parity.doctor.cell import Examination
from parity.doctor.child import CallFailed, Unexamined
from parity.doctor.claims import Claims
from parity.doctor.classifier_bank import (
    CHANGES,
    DETACHED,
    DETACHED_LAYERS,
    LOGITS,
    ONE_BIAS,
    ONE_IMAGE,
    RANDOM,
    RANDOM_START,
    SAME_CELL,
    SHOWN,
    SQUARE,
    STATEFUL,
    UNLIKE,
    fails_backward,
    fails_in_layers,
    hypotheses,
    unrolling,
)
from parity.doctor.conduct import Probe
from parity.doctor.findings import Counterexample, Fault
from parity.doctor.layout import readings
from parity.doctor.lines import Lines
from parity.doctor.measuring import PRECISIONS, Unreadable, measure
from parity.doctor.parts import Parts, Shapes, split
from parity.doctor.program import GATES, Array
from parity.doctor.reading import Reading, flatten, unflatten
from parity.doctor.search import Explanation
from parity.doctor.source import Source
from parity.doctor.subject import Subject, Target
from parity.doctor.unrolling import Layer, Output, Unrolling, simulate

H, C, BATCH = 3, 5, 6
SIZES = ((2, 4), (28, 28))
"""(inputs, time steps) that are tried: some classifiers take nothing but the lab's images."""
LONGER = 12
LAYERS = 3
TOLERANCE = 1e-8
GRADIENTS = ("detached", "gradient", "fails")
"""Kinds of faults that gradients show."""


class ClassifierDoctor:
    """One classifier under examination.

    Args:
        subject: the file's process.
        target: the classifier.
        cell_target, cell: the cell of the same file and what was found of it; None: it holds none.
        seed: of the probes.

    Attributes:
        faults, warnings: see `findings.Diagnosis`.
        explained: the faults say all that is wrong with it.
        unknown: it is wrong, and they do not say all of it.
        unexplained: a counter-example of that.
        left: it is another model than the lab's classifier.
        probes: rows compared.
        I, T: the inputs and time steps of an image that it takes.
    """

    def __init__(
        self,
        subject: Subject,
        target: Target,
        cell_target: Target | None,
        cell: Examination | None,
        seed: int,
    ) -> None:
        self.subject, self.target, self.cell_target, self.cell = subject, target, cell_target, cell
        self.rng = np.random.default_rng(seed + 1)
        self.source = Source(subject.source, target.name)
        self.lines = Lines(self.source, target.line)
        self.faults: list[Fault] = []
        self.warnings: list[str] = []
        self.explained = self.unknown = self.left = False
        self.probes = 0
        self._readings: dict[bool, Reading] = {}
        self._parts: Parts | None = None
        self.unexplained: Counterexample | None = None
        self.I, self.T = SIZES[0]

    def examine(self) -> None:
        """Look at everything.

        Raises:
            Unexamined: the limits were reached.
        """
        first = self._first_call()
        if first is None:
            return
        shapes, given, x, logits = first
        fresh = self._conduct(shapes, given, x, logits)
        if fresh is None:
            return
        cell = self._cell_parameters()
        self._explain(shapes, cell, 1, fresh)
        if self.explained:
            self._gradients(1, fresh)
            self._layered(shapes, cell, fresh)
        if not self.explained and not any(f.kind == "fails" for f in self.faults):
            if not self.faults and (other := self._others(shapes, cell)):
                self._leave(f"it has more than layers and an output layer: {', '.join(other)}")
                return
            self.unknown, self.unexplained = True, self._example()
        if any(f.kind in SHOWN for f in self.faults):
            example = self._example()
            self.faults = [replace(f, counterexample=example) if f.kind in SHOWN else f for f in self.faults]

    def _first_call(self) -> tuple[Shapes, dict[str, Array], Array, Array] | None:
        """Its parameters, and a call at the first sizes at which it can be called; None: it fails at all."""
        failed, made = None, False
        for self.I, self.T in SIZES:
            for B in (BATCH, self.T):
                try:
                    shapes = self._build(1)
                    made = True
                    return shapes, *self._call(shapes, B)
                except CallFailed as error:
                    failed = failed or error
        assert failed
        if not failed.raised and not (made and "classif" in self.target.name.lower()):
            self._leave(failed.message)
            return None
        said = f"Calling it with images [{BATCH}, {SIZES[0][1]}, {SIZES[0][0]}] fails: {failed.message}."
        fails = Change(
            "classifier", "fails", {}, LOGITS, "logits", said, "Take x [B, T, I], and return logits [B, C]."
        )
        self._add(fails, line=failed.line)
        return None

    def _layered(self, shapes: Shapes, cell: dict[bool, Shapes], fresh: bool) -> None:
        """Look at several layers, if it takes a number of them."""
        try:
            more = self._build(LAYERS)
        except CallFailed as error:
            self.warnings.append(f"not examined: {LAYERS} layers: {error.message}")
            return
        if more == shapes:
            return
        if not split(more, cell, H, C).prefixes:
            self.warnings.append(f"not examined: {LAYERS} layers, for want of a cell of their own")
            return
        try:
            self._explain(more, cell, LAYERS, fresh)
        except CallFailed as error:
            self.explained = False
            self._add(fails_in_layers(LAYERS, error.message), line=error.line)
            return
        self._initial(more, cell)
        if self.explained and not any(f.kind in GRADIENTS for f in self.faults):
            self._gradients(LAYERS, fresh)

    def _leave(self, why: str) -> None:
        """Say that it is another model than the lab's classifier, of which nothing can be said.

        Raises:
            Unexamined: nothing else in the file is examined.
        """
        if not self.cell:
            raise Unexamined(f"{self.target.name} is no classifier x [B, T, I] -> logits [B, C]: {why}")
        self.left = True
        self.warnings.append(
            f"not examined: {self.target.name} is no classifier x [B, T, I] -> logits [B, C]: {why}"
        )

    def _others(self, shapes: Shapes, cell: dict[bool, Shapes]) -> list[str]:
        """Parameters that a stack of cells under an output layer does not have."""
        parts = split(shapes, cell, H, C)
        if not parts.prefixes:
            return []
        first = [p for p, _ in parts.prefixes[:1]]
        known = {p + n for p in first for own in cell.values() for n in own}
        known |= {n for n in (parts.W_out, parts.b_out, *parts.start) if n}
        return [n for n in shapes if n not in known]

    def _build(self, layers: int) -> Shapes:
        return self.subject.build(self.target, self.I, H, C, layers)

    def _cell_parameters(self) -> dict[bool, Shapes]:
        """Whether it sees the input → the parameters of the cell, by the cell's own names."""
        if not self.cell_target or not self.cell or not self.cell.explanation:
            return {}
        assert self.cell.reading
        alive = self.cell.reading.without_dead().shapes
        built = {sees: self._build_cell(sees) for sees in (True, False)}
        return {sees: {n: s for n, s in shapes.items() if n in alive} for sees, shapes in built.items()}

    def _call(
        self, shapes: Shapes, B: int, N: int = 1, *, T: int | None = None, fresh: bool = False
    ) -> tuple[dict[str, Array], Array, Array]:
        given = {n: self.rng.normal(0.0, 0.7, (N, *s)) for n, s in shapes.items()}
        x = self.rng.normal(0.0, 1.0, (N, B, T or self.T, self.I))
        return given, x, self.subject.classify(given, x, fresh=fresh)

    def _conduct(self, shapes: Shapes, given: dict[str, Array], x: Array, logits: Array) -> bool | None:
        """Whether each call needs a fresh instance; None: nothing more can be examined."""
        again = self.subject.classify(given, x)
        if np.array_equal(logits, again, equal_nan=True):
            return False
        return self._varies(shapes, given, x)

    def _varies(self, shapes: Shapes, given: Mapping[str, Array], x: Array) -> bool | None:
        """Why the same call gives different logits."""
        seen = []
        for factor in (1.0, -2.0):
            self._build(1)
            self.subject.classify(given, factor * x)
            seen.append(self.subject.classify(given, x))
        if not np.array_equal(seen[0], seen[1]):
            self._add(STATEFUL)
            return True
        start = self._forgets(shapes, x)
        self._add(RANDOM_START if start else RANDOM)
        return None

    def _forgets(self, shapes: Shapes, x: Array) -> bool:
        """Whether a cell that forgets its start state gives the same logits twice."""
        cell = self._cell_parameters()
        parts = split(shapes, cell, H, C)
        if not cell or not parts.prefixes or not self.cell or not self.cell.explanation:
            return False
        reading = self._reading(True)
        self._build(1)
        given = {n: self.rng.normal(0.0, 0.7, (1, *s)) for n, s in shapes.items()}
        prefix = parts.prefixes[0][0]
        for t in reading.terms:
            name, index = reading.name_of(t.element)
            slot_f = self.cell.explanation.slots.get("f")
            if t.operand[0] in ("first", "second") or t.slot == slot_f:
                bias = t.operand[0] == "1" and t.slot == slot_f
                given[prefix + name][(0, *index)] = -80.0 * t.coefficient if bias else 0.0
        return np.array_equal(self.subject.classify(given, x), self.subject.classify(given, x))

    def _build_cell(self, sees: bool) -> Shapes:
        assert self.cell_target
        return self.subject.build(self.cell_target, self.I if sees else H, H)

    def _reading(self, sees: bool) -> Reading:
        """The cell's reading at the width of the input, or at that of a layer below."""
        if sees not in self._readings:
            whole = self._build_cell(sees)
            reading = measure(
                Probe(self.subject),
                whole,
                self.I if sees else H,
                H,
                self.rng,
                PRECISIONS[0],
                6 if self.I < 8 else 1,
            )
            self._readings[sees] = reading.without_dead()
        return self._readings[sees]

    def _explain(self, shapes: Shapes, cell: dict[bool, Shapes], layers: int, fresh: bool) -> None:
        """Find the unrolling that gives the logits."""
        samples = []
        parts = split(shapes, cell, H, C)
        self._parts = self._parts or parts
        candidates = list(self._layers(shapes, parts, cell))
        self._build(layers)
        for B in (BATCH, self.T):
            try:
                samples.append(self._call(shapes, B, 2, fresh=fresh))
            except CallFailed:
                if B == self.T:
                    raise
        only_square = len(samples) == 1
        if layers == 1 and not only_square:
            samples += self._at_other_sizes(shapes, fresh)
        self.probes += sum(int(np.prod(x.shape[:2])) for _, x, _ in samples)
        tied = layers > 1 and len(parts.prefixes) < layers
        for changes in (c for level in hypotheses() for c in level):
            u = unrolling(changes)
            if u.axes == "TBI" and not only_square:
                continue
            if any(self._fits(u, c, parts, layers, s) for c in candidates for s in samples[:1]) and any(
                all(self._fits(u, c, parts, layers, s) for s in samples) for c in candidates
            ):
                self.explained = True
                self.warnings += [c.explanation for c in changes if c.relabels and layers == 1]
                for change in changes:
                    if not change.relabels and change.kind not in [f.kind for f in self.faults]:
                        self._add(change)
                if only_square and u.axes == "BTI":
                    self._add(SQUARE)
                if tied:
                    self._add(SAME_CELL)
                if parts.b_out is None and layers == 1:
                    self._add(next(c for c in CHANGES if c.kind == "no-output-bias"))
                return
        self.explained = False

    def _at_other_sizes(self, shapes: Shapes, fresh: bool) -> list[tuple[dict[str, Array], Array, Array]]:
        """Calls with one image, and with more time steps where it takes any number."""
        samples = []
        try:
            samples.append(self._call(shapes, 1, fresh=fresh))
        except CallFailed:
            self._add(ONE_IMAGE)
        with suppress(CallFailed):
            samples.append(self._call(shapes, 2, T=LONGER if self.T < LONGER else None, fresh=fresh))
        return samples

    def _layers(
        self, shapes: Shapes, parts: Parts, cell: dict[bool, Shapes]
    ) -> Iterator[list[tuple[str, Reading, Explanation]]]:
        """Ways to read the layers: by the examined cell, or by names and shapes where there is none."""
        if parts.prefixes and self.cell and self.cell.explanation:
            try:
                yield [(p, self._reading(sees), self.cell.explanation) for p, sees in parts.prefixes]
            except Unreadable:
                return
        else:
            own = {n: s for n, s in shapes.items() if n not in (parts.W_out, parts.b_out)}
            slots = {g: n for n, g in enumerate(GATES)}
            probe = Reading(own, self.I, H, 4, ())
            for reading in readings(own, self.I, H, Claims(probe, self.source)):
                yield [("", reading, Explanation((), slots, 0, 0))]

    def _fits(
        self,
        u: Unrolling,
        layers: list[tuple[str, Reading, Explanation]],
        parts: Parts,
        count: int,
        sample: tuple[dict[str, Array], Array, Array],
    ) -> bool:
        given, x, logits = sample
        made = [Layer(r, e, flatten(r.shapes, {n: given[p + n] for n in r.shapes})) for p, r, e in layers]
        made += [made[-1]] * (count - len(made) if len(made) > 1 or count == 1 else 0)
        try:
            with np.errstate(all="ignore"):
                found = simulate(u, made, self._output(parts, given), x)
        except ValueError:
            return False
        return found.shape == logits.shape and bool(
            (np.abs(found - logits) <= TOLERANCE * (1 + np.abs(logits))).all()
        )

    def _output(self, parts: Parts, given: Mapping[str, Array]) -> Output:
        N = len(next(iter(given.values())))
        W = given[parts.W_out] if parts.W_out else np.zeros((N, C, H))
        W = W if W.shape[1:] == (C, H) else np.swapaxes(W, 1, 2)
        b = given[parts.b_out].reshape(N, C) if parts.b_out else np.zeros((N, C))
        start = tuple(given[n].reshape(N, -1)[:, :H] for n in parts.start[:2])
        return Output(W, b, (start[0], start[-1]) if start else None)

    def _initial(self, shapes: Shapes, cell: dict[bool, Shapes]) -> None:
        """Whether all layers start from forget biases alike."""
        self._build(LAYERS)
        drawn = self.subject.initial()
        parts = split(shapes, cell, H, C)
        if not drawn or not self.cell or not self.cell.explanation or len(parts.prefixes) < 2:
            return
        means = []
        for prefix, sees in parts.prefixes:
            reading = self._reading(sees)
            flat = flatten(reading.shapes, {n: drawn[prefix + n][None] for n in reading.shapes})
            means.append(float(reading.block("1", flat)[0, self.cell.explanation.slots["f"]].mean()))
        if max(means) - min(means) > 0.7:
            self._add(ONE_BIAS)

    def _gradients(self, layers: int, fresh: bool) -> None:
        """Whether the gradient is that of the logits: by each parameter in a random direction."""
        if self.cell and any(
            f.kind in ("detached", "unregistered", "gradient", "in-place") or "detached" in f.kind
            for f in self.cell.faults
        ):
            return
        shapes, step = self._build(layers), 1e-5
        given = {n: self.rng.normal(0.0, 0.7, s) for n, s in shapes.items()}
        along = {n: self.rng.normal(0.0, 1.0, s) for n, s in shapes.items()}
        x = self.rng.normal(0.0, 1.0, (self.T, self.T, self.I))
        weight = self.rng.normal(0.0, 1.0, (self.T, C))
        try:
            found = self.subject.classifier_gradients(given, x, weight)
        except CallFailed as error:
            self._add(fails_backward(error.message), line=error.line)
            return
        if found is None:
            return
        # each parameter is moved by itself, both ways
        ways = [(n, sign * step) for n in given for sign in (1, -1)]
        ends = {n: np.stack([a + s * along[n] * (n == m) for m, s in ways]) for n, a in given.items()}
        logits = self.subject.classify(ends, x[None], fresh=fresh)
        want = ((logits[::2] - logits[1::2]) * weight).sum((1, 2)) / (2 * step)
        wrong = {
            n
            for n, slope in zip(given, want, strict=True)
            if abs(slope - (0.0 if (g := found.parameters.get(n)) is None else (along[n] * g).sum()))
            > 1e-5 * (1 + abs(slope))
        }
        if wrong:
            assert self._parts
            if not self.cell or wrong & {self._parts.W_out, self._parts.b_out}:
                self._add(UNLIKE)
            else:
                self._add(DETACHED if layers == 1 else DETACHED_LAYERS)

    def _example(self) -> Counterexample | None:
        """The simplest call of a classifier of one unit that shows a difference."""
        cell, target = self.cell, self.cell_target
        parts = self._parts
        if (
            not cell
            or not cell.explanation
            or not target
            or not parts
            or len(parts.prefixes) != 1
            or not parts.W_out
        ):
            return None
        prefix = parts.prefixes[0][0]
        try:
            reading = measure(
                Probe(self.subject), self.subject.build(target, 1, 1), 1, 1, self.rng, PRECISIONS[0]
            )
            shapes = self.subject.build(self.target, 1, 1, classifier_example.CLASSES, 1)
            flat, x, W_out, b_out = classifier_example.draws(reading.size, self.rng)
            given = {
                prefix + n: a for n, a in unflatten(reading.shapes, flat).items() if prefix + n in shapes
            }
            given[parts.W_out] = W_out.reshape(-1, *shapes[parts.W_out])
            if parts.b_out:
                given[parts.b_out] = b_out.reshape(-1, *shapes[parts.b_out])
            given |= {n: np.full((1, *shapes[n]), 0.5) for n in shapes if n not in given}
            got = self.subject.classify(given, x)
        except (CallFailed, Unreadable, ValueError):
            return None
        claims = Claims(reading, Source(self.subject.source, target.name))
        p = classifier_example.scalars(reading, cell.explanation, claims, flat)
        return classifier_example.simplest(p, x, W_out, b_out, got)

    def _add(self, change: Change, line: int | None = None) -> None:
        self.faults.append(change.fault(line or self.lines.of_classifier(change)))
