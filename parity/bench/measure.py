"""How figures are taken: in turns, so that what disturbs the machine disturbs all contenders alike."""

import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import chain
from operator import itemgetter
from statistics import median
from typing import Any, NamedTuple, TypeVar

import jax

from jax_lstm.steps import cores
from parity.bench.contenders import CONTENDERS, EPOCH_REFERENCE, EPOCH_WORK, OURS
from parity.bench.figures import Figure, Floor, Row
from parity.bench.process import Dropped, Process
from parity.bench.works import Precision, Work

Turn = TypeVar("Turn")

TURN_SECONDS = 0.4
FEWEST_STEPS = 5
"""Of a turn, at which compiled steps take their memory once, as in a training."""
REST = 0.05
"""Seconds between two turns, in which idle threads of the one before fall asleep."""

GROWTH = {"T": (7, 28, 112), "B": (32, 128, 512), "H": (32, 128, 512), "layers": (1, 2, 3)}


def steps(work: Work, names: Sequence[str], libraries: Sequence[str], *, rounds: int) -> Figure:
    """The steady training step, and its floor."""
    figure = Figure("training step", str(work), rows=[Row(name) for name in names])
    _race_steps([_Entry(row, work) for row in figure.rows], rounds)
    if libraries:
        figure.floor = floor(work, libraries, rounds=rounds)
    return figure


def growth(work: Work, names: Sequence[str], *, rounds: int) -> Iterator[Figure]:
    """The training step as one size after the other grows, and jax_lstm's over more devices."""
    for letter, sizes in GROWTH.items():
        figure = Figure(f"training step as {letter} grows", str(work))
        for size in sizes:
            grown = work.with_size(letter, size)
            entries = [_Entry(Row(name, size=f"{letter} = {size}"), grown) for name in names]
            _race_steps(entries, rounds)
            figure.rows += [entry.row for entry in entries]
        yield figure
    if OURS not in names or jax.default_backend() != "cpu":
        return
    entries = [
        _Entry(Row(OURS, size=f"{n} of {cores()} cores"), work, {"devices": n})
        for n in sorted({*(2**k for k in range(cores().bit_length())), cores()})
    ]
    _race_steps(entries, rounds)
    yield Figure("training step over more devices", str(work), rows=[entry.row for entry in entries])


def evaluation(work: Work, names: Sequence[str], images: int, *, rounds: int) -> Figure:
    """Classifying images, once everything is compiled."""
    figure = Figure(f"classifying {images:,} images", str(work), rows=[Row(name) for name in names])
    with ExitStack() as stack:
        turns = []
        for row in figure.rows:
            with row.excused():
                process = _start(stack, row, "start", work=asdict(work))
                process.ask("evaluate", images=images)
                turns.append(_Turn(process, row, "evaluate", {"images": images}))
        _take(turns, rounds)
    return figure


def epoch(
    names: Sequence[str],
    dataset: str,
    data_dir: str | None,
    description: str,
    *,
    precision: Precision | None = None,
    rounds: int,
) -> Figure:
    """An epoch as a user gets it, from images in memory to the validation.

    Args:
        names: of `EPOCHS`.
        dataset, data_dir: as `jax_lstm.data.load` takes them.
        description: of the data set, for the card.
        precision: as in `Work`.
    """
    work = f"{EPOCH_WORK}, {description}"
    figure = Figure(
        "epoch and validation", work, rows=[Row(name) for name in names], reference=EPOCH_REFERENCE
    )
    with ExitStack() as stack:
        turns = []
        for row in figure.rows:
            with row.excused():
                process = _start(stack, row, "load", dataset=dataset, data_dir=data_dir, precision=precision)
                turns.append(_Turn(process, row, "epoch", {}))
        _take(turns, rounds)
    return figure


def starts(work: Work, names: Sequence[str], *, rounds: int) -> list[Figure]:
    """Importing, the first step with its compilation, and the peak of memory after some steps."""
    imports, firsts = Figure("import", ""), Figure("first step, compilation included", str(work))
    own = Figure("memory of the imported framework", "", "bytes")
    peaks = Figure("peak memory", str(work), "bytes")
    figures = [imports, firsts, own, peaks]
    for figure in figures:
        figure.rows = [Row(name) for name in names]
    for n in _in_turns(range(len(names)), rounds):
        rows = [figure.rows[n] for figure in figures]
        if rows[0].missing:
            continue
        try:
            with (
                tempfile.TemporaryDirectory() as empty,
                Process(names[n], {"TORCHINDUCTOR_CACHE_DIR": empty}) as process,
            ):
                answer = process.ask("start", work=asdict(work))
                process.ask("steps", n=5)
                peak = process.ask("memory")["bytes"]
        except Dropped as dropped:
            for row in rows:
                row.drop(str(dropped))
            continue
        found = (process.import_seconds, answer["seconds"], process.imported_bytes, peak)
        for row, value in zip(rows, found, strict=True):
            row.values.append(value)
    return figures


def second_starts(work: Work, names: Sequence[str], *, rounds: int) -> Figure:
    """The first step of contenders that compile, where they find what an earlier start compiled."""
    rows = [Row(name) for name in names if CONTENDERS[name].compiles]
    figure = Figure("first step, its programs kept from an earlier start", str(work), rows=rows)
    with tempfile.TemporaryDirectory() as folder:
        for row in chain(rows, _in_turns(rows, rounds)):
            if not row.missing:
                with row.excused(), Process(row.contender, _kept_in(folder)) as process:
                    row.values.append(process.ask("start", work=asdict(work))["seconds"])
        for row in rows:
            del row.values[:1]  # which compiled
    return figure


def _kept_in(folder: str) -> dict[str, str]:
    """The environment in which compiled programs are kept there."""
    return {
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "TORCHINDUCTOR_CACHE_DIR": folder,
    }


def floor(work: Work, libraries: Sequence[str], *, rounds: int) -> Floor | None:
    """The products of a work by all libraries in turns; None where no library can make them."""
    found: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        processes = {name: stack.enter_context(Process(name)) for name in libraries}
        for name in _in_turns(libraries, rounds):
            if name not in processes:
                continue
            try:
                answer = processes[name].ask("products", work=asdict(work))
            except Dropped:
                del processes[name]
                continue
            for product, seconds in answer.items():
                found.setdefault(product, {}).setdefault(name, []).append(seconds)
    medians = {product: {lib: median(s) for lib, s in by.items()} for product, by in found.items()}
    best = {product: min(by.items(), key=itemgetter(1)) for product, by in medians.items()}
    if not best:
        return None
    ways = [min(ways, key=lambda way: sum(best[name][1] for name in way)) for ways in work.parts()]
    return Floor({name: best[name] for way in ways for name in way})


@dataclass
class _Entry:
    """A row to race for, with what its contender is started with."""

    row: Row
    work: Work
    options: dict[str, Any] = field(default_factory=dict)


class _Turn(NamedTuple):
    """What a contender that is ready is asked at its turn; the seconds of the answer are its figure."""

    process: Process
    row: Row
    question: str
    arguments: dict[str, Any]


def _race_steps(entries: Iterable[_Entry], rounds: int) -> None:
    with ExitStack() as stack:
        turns = []
        for entry in entries:
            with entry.row.excused():
                process = _start(stack, entry.row, "start", work=asdict(entry.work), **entry.options)
                turns.append(_Turn(process, entry.row, "steps", {"n": _length(process)}))
        _take(turns, rounds)


def _start(stack: ExitStack, row: Row, question: str, **arguments: Any) -> Process:
    """The row's contender, after its first answer."""
    process = stack.enter_context(Process(row.contender))
    row.about = process.ask(question, **arguments)["about"]
    return process


def _take(turns: Sequence[_Turn], rounds: int) -> None:
    """A figure of each per round."""
    for process, row, question, arguments in _in_turns(turns, rounds):
        if not row.missing:
            with row.excused():
                row.values.append(process.ask(question, **arguments)["seconds"])


def _length(process: Process) -> int:
    """How many steps make up a turn."""
    process.ask("steps", n=2)
    return max(FEWEST_STEPS, round(TURN_SECONDS / process.ask("steps", n=2)["seconds"]))


def _in_turns(contenders: Sequence[Turn], rounds: int) -> Iterator[Turn]:
    """Each once in every round, in an order drawn anew, after a rest."""
    rng = random.Random(0)
    for _ in range(rounds):
        for contender in rng.sample(contenders, len(contenders)):
            time.sleep(REST)
            yield contender
