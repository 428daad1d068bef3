"""What is wrong with the gradients of a cell whose values are explained."""

from dataclasses import replace

import numpy as np

from parity.doctor import gradient
from parity.doctor.bank import LETTERS, Change
from parity.doctor.child import CallFailed
from parity.doctor.conduct import Conduct
from parity.doctor.findings import Part
from parity.doctor.program import Array
from parity.doctor.reading import unflatten
from parity.doctor.structure import Finding, Structure
from parity.doctor.subject import Subject

TOLERANCES = {"float64": 1e-6, "float32": 1e-3, "float16": 0.1}
UNLIKE = Change(
    "state", "gradient", {}, "states", "LSTM",
    "The values are explained, but the gradients are not those of the values; no single cut explains them.",
    "Compare the backward pass with a finite difference; look for detach(), .data, custom gradients.",
)  # fmt: skip


def findings(
    subject: Subject, structure: Structure, conduct: Conduct, rng: np.random.Generator
) -> list[Finding]:
    """Where gradients are cut, by the framework's own gradients at one random point.

    Args:
        subject: with the cell built at the sizes of the structure's reading.

    Raises:
        Unexamined: as `Subject.gradients`.
    """
    reading, explanation = structure.reading, structure.explanation
    at = gradient.point(reading, rng)
    unseen = _unregistered(subject, structure)
    try:
        found = observed(subject, structure, conduct, at)
    except CallFailed as error:
        return [*unseen, Finding(_fails(error))]
    if found is None:
        return unseen
    want = gradient.expected(reading, explanation, at)
    tolerance = TOLERANCES[conduct.precision.name]
    cuts = gradient.cuts(reading, explanation, at, found, tolerance)
    if cuts is not None:
        return unseen + [Finding(c, structure.name(c.gate) if c.gate in LETTERS else None) for c in cuts]
    return unseen + _stopped_weights(structure, want, found, tolerance)


def observed(subject: Subject, structure: Structure, conduct: Conduct, at: gradient.Point) -> Array | None:
    """The framework's gradients, in the order of `Point.vector`; None where it has none.

    Raises:
        CallFailed: the backward pass fails.
    """
    given = {n: a[0] for n, a in unflatten(structure.reading.shapes, at.flat[None]).items()}
    found = subject.gradients(
        given, at.x, at.first, at.second, at.weight_first, at.weight_second, dtype=conduct.dtype
    )
    return None if found is None else gradient.observed(structure.reading, at, found)


def _fails(error: CallFailed) -> Change:
    in_place = "inplace" in error.message or "in-place" in error.message
    fix = "Make new tensors in place of changing old ones."
    if not in_place:
        fix = "Keep everything that the result depends on in the graph."
    kind = "in-place" if in_place else "detached"
    return Change("state", kind, {}, "states", "LSTM", f"The backward pass fails: {error.message}", fix)


def _unregistered(subject: Subject, structure: Structure) -> list[Finding]:
    """Weights that an optimiser never sees, by gate."""
    reading = structure.reading
    names = subject.unregistered & set(reading.shapes)
    found = []
    for gate in structure.explanation.slots:
        own = [n for e in structure.elements(gate) if (n := reading.name_of(e)[0]) in names]
        if own:
            found.append(Finding(_unseen(gate), own[0]))
    return found


def _unseen(gate: Part) -> Change:
    return Change(
        gate,
        "unregistered",
        {},
        gate,
        f"W_{gate}",
        f"The weights of {LETTERS[gate]} are not registered: model.parameters() lacks them, and no optimiser "
        "changes them.",
        "Hold them as nn.Parameter or nn.Linear directly on self, or in an nn.ModuleList or nn.ModuleDict.",
    )


def _stopped(gate: Part) -> Change:
    said = f"No gradient reaches {LETTERS[gate]}'s own weights, though it flows on through {LETTERS[gate]}."
    return replace(
        gradient.CUTS[f"gate {gate}"], explanation=said, fix="Let the weights themselves be trained."
    )


def _stopped_weights(structure: Structure, want: Array, got: Array, tolerance: float) -> list[Finding]:
    """Gates whose own weights get no gradient, though it flows on to the states."""
    stopped = gradient.untouched(structure.reading, want, got)
    patched = want.copy()
    patched[stopped] = 0.0
    gates = [g for g in structure.explanation.slots if set(structure.elements(g)) & set(stopped)]
    if stopped and np.abs(patched - got).max() <= tolerance * (1 + np.abs(want).max()):
        return [Finding(_stopped(g), structure.name(g)) for g in gates]
    return [Finding(UNLIKE)]
