"""The whole examination of one file."""

import time
from pathlib import Path

from parity.doctor.cell import CellDoctor, Examination
from parity.doctor.child import CallFailed, Limits, Unexamined
from parity.doctor.classifier import ClassifierDoctor
from parity.doctor.credit import credit
from parity.doctor.findings import Diagnosis
from parity.doctor.layout import Map
from parity.doctor.lines import Lines
from parity.doctor.source import Source
from parity.doctor.subject import Subject, Target
from parity.doctor.training import TrainingDoctor

EXPECTED = "a training step takes (model or params, x, y), an optimiser or its state, a loss"


def diagnose(
    path: Path,
    object_name: str | None = None,
    *,
    seed: int = 0,
    limits: Limits | None = None,
    entries: Map | None = None,
) -> Diagnosis:
    """Examine a student's file.

    Args:
        path: of the file.
        object_name: what to examine in it; None: what looks like a cell.
        seed: of the probes.
        limits: of the process that runs the file.
        entries: a map that the cell is held to; see `layout.read_map`.

    Returns:
        The diagnosis; a file that cannot be examined has the verdict "unexamined".

    Raises:
        UserError: the map does not fit the cell.
    """
    try:
        with Subject(path, object_name, limits=limits, seed=seed) as subject:
            begin = time.perf_counter()
            return _diagnose(path, subject, seed, entries, begin)
    except Unexamined as why:
        return Diagnosis(
            str(path), object_name, None, "unexamined", why.reason, why.line, printed=why.printed, seed=seed
        )


def _diagnose(path: Path, subject: Subject, seed: int, entries: Map | None, begin: float) -> Diagnosis:
    targets = {t.kind: t for t in reversed(subject.targets)}
    first = subject.targets[0]
    try:
        found = _examine(subject, targets, seed, entries)
    except CallFailed as error:
        raise Unexamined(
            f"calling {first.name} failed: {error.message}", error.line, subject.printed
        ) from None
    return Diagnosis(
        file=str(path),
        object=first.name,
        framework=first.framework,
        verdict="wrong" if found.wrong else "correct",
        warnings=tuple(dict.fromkeys(found.warnings)),
        faults=tuple(found.faults),
        explained=not found.unknown,
        unexplained=found.unexplained,
        leaves_at=found.leaves_at,
        credit=credit(found.faults, found.examined),
        probes=found.probes,
        seed=seed,
        printed=subject.printed,
        seconds=time.perf_counter() - begin,
    )


def _examine(subject: Subject, targets: dict[str, Target], seed: int, entries: Map | None) -> Examination:
    """The cell, then the classifier around it, then the training step: each as far as those before allow."""
    cell = None
    if "cell" in targets:
        alone = "classifier" not in targets
        cell = CellDoctor(subject, targets["cell"], seed, entries, alone=alone).examine()
    found = cell or Examination()
    found.warnings += [f"not examined: {name}: {EXPECTED}" for name in subject.left]
    around = [targets[kind] for kind in ("classifier", "training") if kind in targets]
    if cell and not cell.explanation:
        found.warnings += [f"not examined: {t.name}: the cell is to be explained first" for t in around]
    elif "classifier" in targets:
        _classify(subject, targets, cell, seed, found)
    else:
        found.warnings += [f"not examined: {t.name}: there is no classifier that it trains" for t in around]
    return found


def _classify(
    subject: Subject, targets: dict[str, Target], cell: Examination | None, seed: int, found: Examination
) -> None:
    """Examine the classifier and its training step, and note what is found."""
    doctor = ClassifierDoctor(subject, targets["classifier"], targets.get("cell"), cell, seed)
    doctor.examine()
    found.faults += doctor.faults
    found.warnings += doctor.warnings
    found.probes += doctor.probes
    found.wrong |= bool(doctor.faults) or doctor.unknown
    if doctor.unknown:
        found.unknown, found.leaves_at, found.unexplained = True, "classifier", doctor.unexplained
    if doctor.explained:
        found.examined.add("classifier")
    training = targets.get("training")
    if training and doctor.left:
        found.warnings.append(f"not examined: {training.name}: what it trains is not examined")
    elif training:
        _train(subject, targets["classifier"], training, (doctor.T, doctor.I), seed, found)


def _train(
    subject: Subject,
    classifier: Target,
    training: Target,
    image: tuple[int, int],
    seed: int,
    found: Examination,
) -> None:
    """Examine the training step, and note what is found."""
    doctor = TrainingDoctor(subject, classifier, image, seed)
    try:
        doctor.examine()
    except CallFailed as error:
        doctor.left.append(error.message)
    lines = Lines(Source(subject.source, training.name), training.line)
    found.faults += [c.fault(lines.of_training(c)) for c in doctor.changes]
    found.warnings += [f"not examined: {training.name}: {why}" for why in doctor.left]
    found.wrong |= bool(doctor.changes)
    if not doctor.left:
        found.examined.add("training")
