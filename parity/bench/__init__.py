"""python -m parity bench: how fast this LSTM trains, beside other ways to train it."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tqdm import tqdm

from jax_lstm.config import DatasetName
from jax_lstm.console import INTERRUPTED, Stopped, exit_status
from jax_lstm.errors import UserError
from jax_lstm.files import require_place
from parity.bench.contenders import CONTENDERS, EPOCHS, OURS, PRODUCTS, REFERENCE
from parity.bench.works import WORKS, Precision

if TYPE_CHECKING:
    from jax_lstm.data import Dataset
    from parity.bench.figures import Figure

FigureName = Literal["steps", "starts", "evaluation", "growth", "epoch", "accuracy"]
TEST_IMAGES = 10_000
GROWING = (OURS, "jax_lstm plain", "torch_ref", REFERENCE)


@dataclass(frozen=True)
class Command:
    """Time the training of this LSTM beside other ways to train it, on this machine.

    Contenders run in processes of their own and take turns. What is not installed is named as missing.
    """

    figures: tuple[FigureName, ...] = ("steps", "starts", "evaluation", "growth", "epoch")
    """steps: a training step of every work, and its floor, the matrix products alone. The others are of the
    work h128. starts: import, first step, memory. evaluation: classifying 10,000 images. growth: the step as
    T, B, H, layers and devices grow. epoch: training and validation, beside PyTorch in the labs' loop.
    accuracy: time until 97.81 % and 99.0 % of MNIST's test images are right, beside that loop's epoch."""
    works: tuple[str, ...] = tuple(WORKS)
    """Of the training steps."""
    contenders: tuple[str, ...] = ()
    """Of all figures but epoch and accuracy. Empty: all that can run here."""
    rounds: Annotated[int, tyro.conf.arg(metavar="N")] = 7
    """Turns of each contender; medians and ranges are over them."""
    precision: Precision | None = None
    """What a GPU multiplies float32 matrices in; None: float32, with TF32 off."""
    dataset: DatasetName = "auto"
    """Of epoch. accuracy needs MNIST."""
    data_dir: Path | None = None
    """Folder with the data set's four original files; None: as in python -m jax_lstm.train."""
    json: Path | None = None
    """Write the card there, as JSON."""
    markdown: Path | None = None
    """Write the card there, as Markdown."""
    plot: Path | None = None
    """Draw the training steps there, as PNG."""


def main(argv: list[str]) -> int:
    """The command line after `bench`; returns the exit status."""

    def job() -> None:
        try:
            run(tyro.cli(Command, args=argv, prog="python -m parity bench"))
        except KeyboardInterrupt:
            message = "Stopped; no card is written. Start again with the same command."
            raise Stopped(INTERRUPTED, message) from None

    return exit_status(job)


def run(command: Command) -> None:
    """Measure, print the card, and write what is asked for.

    Raises:
        UserError: a name or a file that cannot be, or nothing to race.
    """
    from jax_lstm.files import write_atomic
    from jax_lstm.runs import write_json
    from parity.bench.card import Card, machine

    _require_sense(command)
    names, missing = _contenders(command)
    data = _data(command)
    card = Card(machine(), missing, command.rounds)
    bar = tqdm(
        _measurements(command, names, data),
        total=_count(command),
        leave=False,
        disable=not sys.stderr.isatty(),
    )
    for figures in bar:
        card.figures += figures
    print(card.markdown(), end="", flush=True)
    if command.json:
        write_json(command.json, card.as_json())
    if command.markdown:
        write_atomic(command.markdown, card.markdown().encode())
    if command.plot:
        from parity.bench.plot import draw

        draw(card, command.plot)


def _measurements(command: Command, names: list[str], data: "Dataset | None") -> Iterator[list["Figure"]]:
    from parity.bench import measure
    from parity.bench.accuracy import accuracy

    precision = (command.precision or "float32") if _device() == "gpu" else None
    works = {name: replace(work, precision=precision) for name, work in WORKS.items()}
    h128, rounds = works["h128"], command.rounds
    libraries = [name for name, entry in PRODUCTS.items() if not entry.missing]
    if "steps" in command.figures:
        for work in command.works:
            yield [measure.steps(works[work], names, libraries, rounds=rounds)]
    if "starts" in command.figures:
        second = measure.second_starts(h128, names, rounds=rounds)
        yield [*measure.starts(h128, names, rounds=rounds), second]
    if "evaluation" in command.figures:
        yield [measure.evaluation(h128, names, TEST_IMAGES, rounds=rounds)]
    if "growth" in command.figures:
        growing = [name for name in GROWING if name in names]
        yield list(measure.growth(h128, growing, rounds=rounds)) if growing else []
    if data:
        folder = str(command.data_dir) if command.data_dir else None
        described = f"{data.name}: {len(data.train_labels):,} images, 1 in 12 of them held out"
        if "epoch" in command.figures:
            loops = [name for name, entry in EPOCHS.items() if not entry.missing]
            yield [measure.epoch(loops, data.name, folder, described, precision=precision, rounds=rounds)]
        if "accuracy" in command.figures:
            yield [accuracy(described, folder)]


def _count(command: Command) -> int:
    return len(set(command.figures) - {"steps"}) + len(command.works) * ("steps" in command.figures)


def _data(command: Command) -> "Dataset | None":
    """What the figures train on, where one of them does.

    Raises:
        UserError: accuracy is asked for, and it is not MNIST.
    """
    from jax_lstm.data import load

    if not {"epoch", "accuracy"} & set(command.figures):
        return None
    data = load(command.dataset, command.data_dir)
    if "accuracy" in command.figures and data.name != "mnist":
        raise UserError(
            f"accuracy is measured on MNIST, not on {data.name}. {data.fallback_reason or ''}".strip()
        )
    if data.fallback_reason:
        print(f"!!! {data.fallback_reason}", file=sys.stderr)
    return data


def _contenders(command: Command) -> tuple[list[str], dict[str, str]]:
    """Those that can be raced here, and why the others cannot."""
    here, missing = _device(), {}
    for name in command.contenders or CONTENDERS:
        entry = CONTENDERS[name]
        if entry.missing:
            missing[name] = f"{', '.join(entry.missing)} not installed"
        elif here not in entry.on:
            missing[name] = f"runs on a {entry.on} only; this machine's device is a {here}"
    names = [name for name in command.contenders or CONTENDERS if name not in missing]
    if not names:
        raise UserError(f"nothing to race: {'; '.join(f'{n}: {why}' for n, why in missing.items())}")
    return names, missing


def _device() -> Literal["cpu", "gpu"]:
    import jax

    return "gpu" if jax.default_backend() == "gpu" else "cpu"


def _require_sense(command: Command) -> None:
    for what, given, known in (
        ("--works", command.works, WORKS),
        ("--contenders", command.contenders, CONTENDERS),
    ):
        if unknown := [name for name in given if name not in known]:
            raise UserError(f"{what}: unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
    if command.rounds < 1:
        raise UserError("--rounds must be 1 or more")
    if command.precision and _device() == "cpu":
        raise UserError("--precision is for a GPU; this machine's device is a cpu, which knows float32 only")
    for name in ("json", "markdown", "plot"):
        require_place(f"--{name}", getattr(command, name))
    if command.plot and "steps" not in command.figures:
        raise UserError("--plot draws the training steps: add steps to --figures")
