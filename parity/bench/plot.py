"""The training steps of all contenders, a panel for each work."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jax_lstm.plots import write_png
from parity.bench.card import in_seconds
from parity.bench.contenders import OURS, REFERENCE
from parity.bench.figures import Figure, Spread

if TYPE_CHECKING:
    from parity.bench.card import Card

_OURS, _OTHERS, _REFERENCE, _FLOOR = "#D55E00", "#8C8C8C", "#0072B2", "#009E73"
_FLOOR_LABEL = "its matrix products alone"
_COLUMNS = 2


def draw(card: "Card", path: Path) -> None:
    """Write the median of every contender as a bar, with its range, and the floor as a line."""
    from matplotlib.figure import Figure as Canvas

    steps = [figure for figure in card.figures if figure.name == "training step"]
    rows = -(-len(steps) // _COLUMNS)
    columns = min(_COLUMNS, len(steps))
    canvas = Canvas(figsize=(6.6 * columns, 0.9 + 3.1 * rows), layout="constrained")
    axes: Any = canvas.subplots(rows, columns, squeeze=False)
    canvas.suptitle(f"A training step, median and range, {card.machine['processor']}", fontsize=12)
    for ax in axes.flat[len(steps) :]:
        ax.set_axis_off()
    for ax, figure in zip(axes.flat, steps, strict=False):
        _panel(ax, figure)
    handles = {
        label: handle
        for ax in axes.flat
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    if _FLOOR_LABEL in handles:
        canvas.legend([handles[_FLOOR_LABEL]], [_FLOOR_LABEL], loc="outside lower center", frameon=False)
    write_png(canvas, path, dpi=130)


def _panel(ax: Any, figure: Figure) -> None:
    shown = [row for row in figure.rows if row.values]
    shown.sort(key=lambda row: -Spread.of(row.values).median)
    spreads = [Spread.of(row.values) for row in shown]
    medians = [1e3 * s.median for s in spreads]
    errors = [
        [1e3 * (s.median - s.min) for s in spreads],
        [1e3 * (s.max - s.median) for s in spreads],
    ]
    colours = {OURS: _OURS, REFERENCE: _REFERENCE}
    ax.barh(
        [row.contender for row in shown],
        medians,
        xerr=errors,
        color=[colours.get(row.contender, _OTHERS) for row in shown],
        error_kw={"ecolor": "black", "elinewidth": 1, "capsize": 2},
    )
    for n, spread in enumerate(spreads):
        ax.text(1e3 * spread.max, n, f"  {in_seconds(spread.median)}", va="center", fontsize=8)
    if figure.floor:
        ax.axvline(1e3 * figure.floor.seconds, color=_FLOOR, linestyle="--", label=_FLOOR_LABEL)
    ax.set_xlim(0, 1.2 * max(1e3 * s.max for s in spreads))
    ax.set_title(figure.work, fontsize=10)
    ax.set_xlabel("ms")
    ax.spines[["top", "right"]].set_visible(False)
