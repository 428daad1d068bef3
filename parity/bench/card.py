"""All figures of a benchmark, as Markdown to read anywhere and as JSON.

No figure is shown without its spread: median (least – largest) of the rounds.
"""

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from parity.bench.figures import Figure, Row, Spread
from parity.bench.targets import targets

PACKAGES = ("jax-lstm", "jax", "jaxlib", "flax", "optax", "torch", "equinox", "keras", "numpy")
_PREFIXES = ((1.0, "s"), (1e-3, "ms"), (0.0, "µs"))


@dataclass
class Card:
    """What was measured, and on what.

    Attributes:
        machine: in words, by what is described.
        missing: contender → why it could not be raced here.
    """

    machine: dict[str, str]
    missing: dict[str, str]
    rounds: int
    figures: list[Figure] = field(default_factory=list)

    def markdown(self) -> str:
        """A table per figure, and what it was measured with."""
        lines = ["# Benchmark", ""]
        lines += [f"- {what}: {text}" for what, text in self.machine.items()]
        lines += [f"- missing: {name}: {why}" for name, why in self.missing.items()]
        lines += [
            "",
            f"Median (least – largest) of {self.rounds} rounds, unless a title says otherwise. In each round",
        ]
        lines += ["every contender had a turn. A ratio is of speed, in the same round: 2 is twice as fast."]
        for figure in self.figures:
            lines += ["", f"## {figure.name}{f': {figure.work}' if figure.work else ''}", "", *_table(figure)]
            if figure.floor:
                lines += ["", _floor(figure)]
        if spoken_of := targets(self.figures):
            lines += ["", "## Targets, on two CPU cores", "", *spoken_of]
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        """All of it; figures in seconds or bytes."""
        return {
            "machine": self.machine,
            "missing": self.missing,
            "rounds": self.rounds,
            "targets": targets(self.figures),
            "figures": [_figure(figure) for figure in self.figures],
        }


def machine() -> dict[str, str]:
    """Processor, cores, versions and date, by what is described."""
    from jax_lstm.steps import cores

    threads = {
        name: os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ
    }
    pinned = ", ".join(f"{name}={value}" for name, value in threads.items())
    return {
        "processor": f"{_processor()}, {cores()} cores",
        "threads": f"{cores()} per contender, each in a process of its own{f' ({pinned})' if pinned else ''}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {v}" for name in PACKAGES if (v := _version(name))),
        "date": date.today().isoformat(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _table(figure: Figure) -> list[str]:
    ranked = [row for row in figure.rows if row.values]
    if not any(row.size for row in ranked):
        ranked.sort(key=lambda row: Spread.of(row.values).median)
    unit = _in_bytes if figure.unit == "bytes" else in_seconds
    columns: dict[str, Callable[[Row], str]] = {
        "contender": lambda row: row.label,
        "median (range)": lambda row: _spread(Spread.of(row.values), unit),
    }
    if figure.unit == "s" and any(row.contender == figure.reference for row in ranked):
        columns[f"speed to {figure.reference}"] = lambda row: _spread(figure.ratio(row), lambda r: f"{r:.2f}")
    if floor := figure.floor:
        columns["of the floor"] = lambda row: f"{floor.seconds / Spread.of(row.values).median:.0%}"
    if any(row.about for row in ranked):
        columns["how"] = lambda row: row.about
    cells = [list(columns), *([cell(row) for cell in columns.values()] for row in ranked)]
    lines = _aligned(cells)
    return lines + [f"- {row.label}: {row.missing}" for row in figure.rows if row.missing]


def _aligned(cells: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [f"| {' | '.join(c.ljust(w) for c, w in zip(row, widths, strict=True))} |" for row in cells]
    return [lines[0], f"|{'|'.join('-' * (w + 2) for w in widths)}|", *lines[1:]]


def _floor(figure: Figure) -> str:
    assert figure.floor
    parts = ", ".join(f"{name} {in_seconds(s)} ({lib})" for name, (lib, s) in figure.floor.products.items())
    return f"The floor, its matrix products alone: {in_seconds(figure.floor.seconds)} = {parts}."


def _spread(spread: Spread | None, unit: Callable[[float], str]) -> str:
    if spread is None:
        return ""
    return f"{unit(spread.median)} ({unit(spread.min)} – {unit(spread.max)})"


def in_seconds(seconds: float) -> str:
    """The time in s, ms or µs, three digits of it."""
    size, unit = next((size, unit) for size, unit in _PREFIXES if seconds >= size)
    return f"{seconds / (size or 1e-6):.3g} {unit}"


def _in_bytes(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"


def _figure(figure: Figure) -> dict[str, Any]:
    floor = figure.floor
    return {
        "name": figure.name,
        "work": figure.work,
        "unit": figure.unit,
        "reference": figure.reference,
        "floor": floor
        and {
            "seconds": floor.seconds,
            "products": {n: {"library": lib, "seconds": s} for n, (lib, s) in floor.products.items()},
        },
        "contenders": {row.label: _row(figure, row) for row in figure.rows},
    }


def _row(figure: Figure, row: Row) -> dict[str, Any]:
    if not row.values:
        return {"missing": row.missing}
    spread, ratio = Spread.of(row.values), figure.ratio(row) if figure.unit == "s" else None
    return {
        **asdict(spread),
        "kernel": row.about,
        "values": row.values,
        "ratio": ratio and asdict(ratio),
        "floor_share": figure.floor and figure.floor.seconds / spread.median,
    }
