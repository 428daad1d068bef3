"""What this project wants to reach on two CPU cores, and by how much it does or does not."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from parity.bench.contenders import EPOCH_REFERENCE, OURS, REFERENCE
from parity.bench.figures import Figure
from parity.bench.works import WORKS

# (work, the other, how many times as fast as the other)
SPEEDS = (
    ("h128", REFERENCE, 1.5),
    ("h128", "flax.nnx.RNN", 2.5),
    ("h128", "torch_ref", 4.0),
    ("h512", REFERENCE, 1.0),
    *((name, REFERENCE, 1.3) for name in WORKS if name not in ("h128", "h512")),
)
EPOCH_SPEED = 5.0
FLOOR_SHARE = ("lab7-tuned", 0.6)
FIRST_STEP, SECOND_START = 3.0, 1.0
"""Seconds, at most."""


def targets(figures: Sequence[Figure]) -> list[str]:
    """A line for each target that these figures speak of: met, or missed by what share of it."""
    found = {(figure.name, figure.work): figure for figure in figures}
    named = {figure.name: figure for figure in figures}
    return [
        f"- {'met' if found >= wanted else f'missed by {1 - found / wanted:.0%}'}: {text}"
        for text, wanted, found in [*_speeds(found), *_at_most(named)]
    ]


def _speeds(figures: Mapping[tuple[str, str], Figure]) -> Iterator[tuple[str, float, float]]:
    for name, other, wanted in SPEEDS:
        figure = figures.get(("training step", str(WORKS[name])))
        if figure and (ratio := figure.speed(OURS, other)):
            text = f"training step of {name}, {ratio.median:.2f} times as fast as {other}; wanted {wanted:g}"
            yield text, wanted, ratio.median
    name, wanted = FLOOR_SHARE
    figure = figures.get(("training step", str(WORKS[name])))
    if figure and figure.floor and (seconds := _median(figure, OURS)):
        share = figure.floor.seconds / seconds
        yield f"training step of {name}, {share:.0%} of its floor's speed; wanted {wanted:.0%}", wanted, share
    for (title, _), figure in figures.items():
        if title == "epoch and validation" and (ratio := figure.speed("jax_lstm.train", EPOCH_REFERENCE)):
            text = f"epoch, {ratio.median:.2f} times as fast as {EPOCH_REFERENCE}; wanted {EPOCH_SPEED:g}"
            yield text, EPOCH_SPEED, ratio.median


def _at_most(figures: Mapping[str, Figure]) -> Iterator[tuple[str, float, float]]:
    for title, most in (
        ("first step, compilation included", FIRST_STEP),
        ("first step, its programs kept from an earlier start", SECOND_START),
    ):
        if title in figures and (seconds := _median(figures[title], OURS)):
            yield f"{title}, {seconds:.2f} s; wanted {most:g} s", 1 / most, 1 / seconds
    peaks, own = (figures.get(title) for title in ("peak memory", "memory of the imported framework"))
    if peaks and own:
        ours, theirs, jax = _median(peaks, OURS), _median(peaks, REFERENCE), _median(own, OURS)
        if ours and theirs and jax:
            text = f"peak memory, {ours / 2**20:.0f} MiB; wanted {theirs / 2**20:.0f} MiB, {REFERENCE}'s"
            text += f", and {jax / 2**20:.0f} MiB, that of JAX itself"
            yield text, 1 / (theirs + jax), 1 / ours


def _median(figure: Figure, contender: str) -> float | None:
    values = next((row.values for row in figure.rows if row.contender == contender), [])
    return median(values) if values else None
