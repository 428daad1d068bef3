"""Finding the cell, the classifier and the training step in the student's file."""

import difflib
from collections.abc import Callable, Sequence

from parity.doctor.sandbox.array_models import FunctionModel
from parity.doctor.sandbox.candidates import Candidate, Candidates
from parity.doctor.sandbox.errors import Refused
from parity.doctor.sandbox.fitting import Fitter
from parity.doctor.sandbox.makers import Discovered
from parity.doctor.sandbox.source import Source

EXPECTED = (
    "expected is a class ManualLSTMCell(input_size, hidden_size) with forward(x, h_prev, c_prev) -> (h, c), "
    "or a function (params, x, h, c) -> (h, c), or (params, carry, x) -> carry"
)


def find(
    candidates: Candidates, object_name: str | None, seconds: float, beat: Callable[[], None]
) -> list[Candidate]:
    """The cell, the classifier and the training step, as far as they are there.

    Args:
        object_name: what to examine. With a cell come the classifier and training step that use it, with a
            classifier comes its cell.
        seconds: that may go into guessing the shapes of parameters.
        beat: called now and then, to show that the search goes on.

    Raises:
        Refused: there is none of them, or more than one cell, or not the one that is named.
    """
    source = candidates.source
    _require(candidates, object_name)
    every, fitter = list(candidates.every()), Fitter(candidates, seconds, beat)
    if object_name and object_name not in {c.name for c in every}:
        raise Refused(_nothing(candidates, object_name), source.line(object_name))
    cells = [c for c in every if c.kind == "cell"]
    _fit(cells, fitter, object_name)
    cell = _one_cell(source, cells, object_name, every)
    classifier = _one_classifier(
        source, [c for c in every if c.kind == "classifier"], cell, object_name, fitter
    )
    training = [c for c in every if c.kind == "training"]
    training.sort(key=lambda c: (c.name != object_name, not c.moves_parameters))
    found = [c for c in (cell, classifier, *training[:1]) if c]
    if not any(c.kind in ("cell", "classifier") for c in found):
        raise Refused(_nothing(candidates, object_name))
    first = found[0]
    if isinstance(first.model, FunctionModel) and first.model.maker is None and first.error:
        raise Refused(first.error.message, first.line)
    return found


def _fit(cells: list[Candidate], fitter: Fitter, object_name: str | None) -> None:
    """Try the cells, the likely ones first; guess shapes only where no other way leads to one that works."""
    likely = [c for c in cells if c.name == object_name or not c.is_unlikely]
    for group in (likely, [c for c in cells if c not in likely]):
        for guess in (False, True):
            for candidate in group:
                fitter.cell(candidate, guess=guess)
            if any(c.works for c in group):
                return


def _one_cell(
    source: Source, cells: list[Candidate], object_name: str | None, every: Sequence[Candidate]
) -> Candidate | None:
    named = next((c for c in every if c.name == object_name), None)
    if named and named.kind == "cell":
        return named
    working = [c for c in cells if c.works] or cells
    if named:
        used = source.reach(named.name)
        return next((c for c in working if c.name in used), None)
    working = [c for c in working if not c.name.startswith("_")] or working
    names = {c.name for c in working}
    lowest = [c for c in working if not (source.reach(c.name) & names) - {c.name}]
    if len(lowest) > 1:
        shown = ", ".join(c.name for c in lowest)
        raise Refused(f"there are {len(lowest)} cells, {shown}: name the one to examine with --object")
    return lowest[0] if lowest else None


def _one_classifier(
    source: Source, found: list[Candidate], cell: Candidate | None, object_name: str | None, fitter: Fitter
) -> Candidate | None:
    # a file that makes the parameters of its cell makes those of its classifier, too
    guess = (
        cell is None or not isinstance(cell.model, FunctionModel) or isinstance(cell.model.maker, Discovered)
    )
    for candidate in found:
        fitter.classifier(candidate, guess=guess or candidate.name == object_name)
    named = [c for c in found if c.name == object_name]
    uses = [c for c in found if cell and cell.name in source.reach(c.name)]
    called_so = [c for c in found if "classif" in c.name.lower()]
    order = [*named, *(c for c in uses if c.works), *(c for c in found if c.works), *uses, *called_so]
    # a function of (params, x) may be anything, unless it works or says what it is
    certain = [*named, *called_so]
    order = [c for c in order if c.works or c in certain or not isinstance(c.model, FunctionModel)]
    order = [c for c in order if not isinstance(c.model, FunctionModel) or c.model.maker]
    return order[0] if order else None


def _require(candidates: Candidates, object_name: str | None) -> None:
    if object_name is None or object_name in vars(candidates.module):
        return
    own = list(candidates.own())
    close = difflib.get_close_matches(object_name, own, 1)
    guess = f"; did you mean {close[0]}?" if close else ""
    there = f"there are {', '.join(own)}" if own else "it defines no class and no function"
    raise Refused(f"there is no {object_name} in the file; {there}{guess}")


def _nothing(candidates: Candidates, object_name: str | None) -> str:
    if object_name:
        return f"{object_name} has not the form of a cell: {EXPECTED}"
    own = list(candidates.own())
    there = f"what it defines is {', '.join(own)}" if own else "it defines no class and no function"
    return f"no LSTM cell was found: {there}; {EXPECTED}"
