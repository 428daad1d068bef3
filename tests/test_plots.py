"""The pictures say what the numbers say: checked on the figures' texts, colours and data, not on pixels."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from jax_lstm import plots

DIGITS = [str(n) for n in range(10)]
FASHION = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"]
FASHION += ["Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
NAN, INF = float("nan"), float("inf")


def rows(count: int, *, x_key: str = "epoch", scale: int = 1) -> list[dict[str, float]]:
    """Epochs of a run that ends at a test accuracy of 99 %."""
    return [
        {
            x_key: scale * (n + 1),
            "train_loss": 2.3 * 0.9 ** (100 * n / count),
            "train_accuracy": 0.999 - 0.8 * 0.9 ** (100 * n / count),
            "validation_loss": 0.03 + 2.2 * 0.9 ** (100 * n / count),
            "validation_accuracy": 0.992 - 0.7 * 0.9 ** (100 * n / count),
            "test_loss": 0.04 + 2.2 * 0.9 ** (100 * n / count),
            "test_accuracy": 0.99 - 0.7 * 0.9 ** (100 * n / count),
            "seconds": 1.5,
        }
        for n in range(count)
    ]


def curves(epochs: Sequence[dict[str, float]], x_key: str = "epoch", best: int | None = None) -> list[Axes]:
    return plots._learning_curves_figure(epochs, "a run", x_key, best).axes


def values(line: Line2D) -> NDArray[np.float64]:
    return np.asarray(line.get_ydata(), float)


def legend(axes: Axes) -> list[str]:
    box = axes.get_legend()
    assert box is not None
    return [box.get_title().get_text(), *(text.get_text() for text in box.get_texts())]


def some_images(count: int = 40) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images whose every pixel is the image's index; the classes run 9, 8, …, 0, 9, …"""
    images = np.repeat(np.arange(count, dtype=np.uint8), 28 * 28).reshape(count, 28, 28)
    return images, 9 - np.arange(count) % 10


def shown_image(axes: Axes) -> int:
    (image,) = axes.images
    return int(np.asarray(image.get_array())[0, 0])


def certain(guesses: NDArray[np.int64], confidence: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """[N, 10] probabilities with this confidence in the guess and the rest shared out."""
    confidence = np.broadcast_to(confidence, guesses.shape)
    spread = np.repeat(((1 - confidence) / 9)[:, None], 10, axis=1)
    spread[np.arange(len(guesses)), guesses] = confidence
    return spread


def drawn_texts(figure: Figure) -> list[tuple[str, Any]]:
    """Every text and its box, after a real draw."""
    figure.draw_without_rendering()
    texts = list(figure.texts)
    for axes in figure.axes:
        texts += [axes.title, *axes.texts, axes.xaxis.label, axes.yaxis.label]
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            inside = [tick for tick in axis.get_major_ticks() if min(limits) <= tick.get_loc() <= max(limits)]
            texts += [label for tick in inside for label in (tick.label1, tick.label2) if axes.axison]
        if box := axes.get_legend():
            texts += [box.get_title(), *box.get_texts()]
    return [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text() and t.get_visible()]


# Learning curves


def test_curves_draw_the_recorded_values_in_percent() -> None:
    epochs = rows(5)
    loss, accuracy = curves(epochs)
    assert list(values(loss.lines[1])) == [row["validation_loss"] for row in epochs]
    assert list(values(accuracy.lines[2])) == [100 * row["test_accuracy"] for row in epochs]
    np.testing.assert_array_equal(accuracy.lines[0].get_xdata(), [1, 2, 3, 4, 5])


def test_legend_tells_98_9_from_99_2_at_the_end() -> None:
    epochs = rows(50)
    epochs[-1] |= {"train_accuracy": 0.9923, "validation_accuracy": 0.989, "test_accuracy": 0.98877}
    assert legend(curves(epochs)[1]) == [
        "at epoch 50",
        "train: 99.23 %",
        "validation: 98.90 %",
        "test (monitoring only): 98.88 %",
    ]


def test_the_end_of_a_good_run_takes_a_visible_part_of_the_accuracy_axis() -> None:
    epochs = rows(50)
    epochs[-2] |= {"train_accuracy": 0.989}
    epochs[-1] |= {"train_accuracy": 0.992}
    figure = plots._learning_curves_figure(epochs, "a run", "epoch", None)
    figure.draw_without_rendering()
    axes = figure.axes[1]
    below, above = (axes.transData.transform((50, percent))[1] for percent in (98.9, 99.2))
    assert above - below > 0.03 * axes.bbox.height


@pytest.mark.parametrize("epochs", [1, 2, 5, 50, 313])
def test_every_point_of_a_short_run_and_the_end_of_a_long_one_is_marked(epochs: int) -> None:
    for axes in curves(rows(epochs)):
        for line in axes.lines:
            assert line.get_marker() not in ("", "None")
            assert line.get_markevery() == (slice(None) if epochs <= 20 else [epochs - 1])


def test_a_single_epoch_has_one_tick() -> None:
    figure = plots._learning_curves_figure(rows(1), "a run", "epoch", None)
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    assert [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high] == [1]


def test_series_that_are_missing_are_left_out() -> None:
    epochs = [{"epoch": n, "train_loss": 1.0 / n} for n in (1, 2, 3)]
    loss, accuracy = curves(epochs)
    assert legend(loss) == ["at epoch 3", "train: 0.3333"]
    assert not accuracy.lines
    assert [text.get_text() for text in accuracy.texts] == ["no accuracy recorded"]


def test_a_series_measured_less_often_names_the_epoch_of_its_figure() -> None:
    epochs = rows(6)
    for n in (1, 2, 4, 5):
        del epochs[n]["test_loss"]
    epochs[3]["test_loss"] = 0.5
    loss, _ = curves(epochs)
    assert legend(loss)[3] == "test (monitoring only): 0.5000 (epoch 4)"
    np.testing.assert_array_equal(loss.lines[2].get_xdata(), [1, 4])


def test_best_epoch_is_marked_and_its_figures_are_given() -> None:
    epochs = rows(30)
    epochs[19] |= {"train_loss": 0.1234}
    for axes in curves(epochs, best=20):
        assert any(list(np.asarray(line.get_xdata())) == [20, 20] for line in axes.lines)
        assert axes.lines[0].get_markevery() == [19]
        assert legend(axes)[0] == "at epoch 20 (best: its weights are kept)"
    assert legend(curves(epochs, best=20)[0])[1] == "train: 0.1234"


def test_steps_can_be_the_horizontal_axis() -> None:
    loss, _ = curves(rows(6, x_key="step", scale=500), x_key="step")
    assert loss.get_xlabel() == "step"
    assert legend(loss)[0] == "at step 3,000"


@pytest.mark.parametrize(("last", "scale"), [(0.25, "linear"), (0.19, "log")])
def test_loss_axis_is_logarithmic_beyond_a_factor_of_ten(last: float, scale: str) -> None:
    epochs = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": last}]
    figure = plots._learning_curves_figure(epochs, "a run", "epoch", None)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    labels = [text.get_text() for text in axes.get_yticklabels() if low <= text.get_position()[1] <= high]
    assert len(labels) >= 3
    assert all(float(label) > 0 for label in labels), "plain numbers, not powers or offsets"


def test_flat_curves_do_not_look_like_a_trend() -> None:
    epochs = [{"epoch": n, "train_loss": 2.3026 + 1e-6 * n, "train_accuracy": 0.1135} for n in (1, 2, 3)]
    for axes, span in zip(curves(epochs), (0.2, 2), strict=True):
        low, high = axes.get_ylim()
        assert high - low >= span


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("first", [1, 3, 5])
def test_a_diverged_run_is_drawn_and_says_since_when(value: float, first: int, tmp_path: Path) -> None:
    epochs = rows(5)
    for row in epochs[first - 1 :]:
        row["train_loss"] = value
    loss, accuracy = curves(epochs)
    assert legend(loss)[1] == f"train: not finite from epoch {first}"
    assert legend(accuracy)[1].endswith(" %")
    assert np.isfinite(values(loss.lines[0])).sum() == first - 1
    plots.learning_curves(epochs, tmp_path / "curves.png", title="a run")


def test_a_run_that_never_was_finite_is_drawn(tmp_path: Path) -> None:
    epochs = [{"epoch": n, "train_loss": NAN, "train_accuracy": NAN} for n in (1, 2)]
    plots.learning_curves(epochs, tmp_path / "curves.png", title="a run")
    assert [legend(axes)[1] for axes in curves(epochs)] == ["train: not finite from epoch 1"] * 2


def test_a_gap_in_a_finite_run_is_named_beside_the_figure() -> None:
    epochs = rows(5)
    epochs[2]["train_loss"] = NAN
    epochs[4]["train_loss"] = 0.5
    assert legend(curves(epochs)[0])[1] == "train: 0.5000, not finite at epoch 3"


def test_perfect_accuracy_and_zero_loss_stay_on_the_axes() -> None:
    epochs = rows(5)
    epochs[-1] |= {"train_accuracy": 1.0, "train_loss": 0.0, "test_accuracy": 0.0}
    figure = plots._learning_curves_figure(epochs, "a run", "epoch", None)
    figure.draw_without_rendering()
    low, high = figure.axes[1].get_ylim()
    assert low < 0
    assert high > 100
    assert all(np.isfinite(axes.get_ylim()).all() for axes in figure.axes)


@pytest.mark.parametrize(
    ("epochs", "options", "message"),
    [
        ([], {}, "no epochs"),
        ([{"train_loss": 1.0}], {}, "row 0 has no 'epoch', only train_loss"),
        ([{"epoch": 2, "train_loss": 1.0}, {"epoch": 2, "train_loss": 1.0}], {}, "must increase"),
        ([{"epoch": NAN, "train_loss": 1.0}], {}, "must increase"),
        ([{"epoch": 1, "seconds": 1.0}], {}, "no loss or accuracy in the rows, only epoch, seconds"),
        ([{"epoch": 1, "train_accuracy": 97.8}], {}, "train_accuracy must be from 0 to 1"),
        ([{"epoch": 1, "train_loss": -1.0}], {}, "train_loss must be from 0"),
        ([{"epoch": 1, "train_loss": 1.0}], {"best_epoch": 2}, "best_epoch 2 is not among the rows"),
        ([{"epoch": 1, "train_loss": 1.0}], {"x_key": "step"}, "has no 'step'"),
    ],
)
def test_impossible_rows_are_refused(
    epochs: list[dict[str, float]], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        plots.learning_curves(epochs, tmp_path / "curves.png", title="a run", **options)
    assert not list(tmp_path.iterdir())


# Ten digits


def test_ten_digits_shows_the_first_image_of_each_class_in_order() -> None:
    images, labels = some_images()
    figure = plots._ten_digits_figure(images, labels, labels, DIGITS, "a run")
    assert [shown_image(axes) for axes in figure.axes] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert [axes.get_title() for axes in figure.axes] == [f"true: {n}\npredicted: {n}" for n in DIGITS]


def test_only_wrong_digits_are_marked_by_colour_weight_frame_and_cross() -> None:
    images, labels = some_images()
    predictions = labels.copy()
    predictions[6] = 5  # the first 3
    predictions[16] = 7  # the second 3, which is not shown
    figure = plots._ten_digits_figure(images, labels, predictions, DIGITS, "a run")
    assert figure.axes[3].get_title() == "true: 3\npredicted: 5"
    for digit, axes in enumerate(figure.axes):
        wrong = digit == 3
        assert (to_hex(axes.title.get_color()) == "#c00000") == wrong
        assert (axes.title.get_fontweight() == "bold") == wrong
        assert ([text.get_text() for text in axes.texts] == ["✗"]) == wrong
        assert (axes.spines["left"].get_linewidth() > 3) == wrong


def test_a_class_without_an_image_says_so() -> None:
    images, labels = some_images()
    there = labels != 9
    figure = plots._ten_digits_figure(images[there], labels[there], labels[there], FASHION, "a run")
    assert not figure.axes[9].images
    assert figure.axes[9].texts[0].get_text() == "no image of\nclass Ankle boot"


# Confusion matrix


def cells(figure: Figure) -> NDArray[np.int64]:
    counts = np.full((10, 10), -1)
    for text in figure.axes[0].texts:
        column, row = text.get_position()
        if column == int(column):
            counts[int(row), int(column)] = int(text.get_text())
    return counts


def margin(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_position()[0] == 9.7]


def test_confusion_cells_are_the_counts_with_true_classes_down() -> None:
    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 10, (2, 3000))
    expected = [[((labels == t) & (predictions == p)).sum() for p in range(10)] for t in range(10)]
    figure = plots._confusion_matrix_figure(labels, predictions, DIGITS, "a run")
    np.testing.assert_array_equal(cells(figure), expected)
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("predicted", "true")


def test_confusion_margin_is_the_recall_and_the_title_the_accuracy() -> None:
    labels, predictions = np.array([0] * 8 + [1] * 2), np.array([0] * 7 + [5] + [1] * 2)
    figure = plots._confusion_matrix_figure(labels, predictions, DIGITS, "a run")
    assert margin(figure) == ["correct", "87.5 %", "100.0 %", *["no image"] * 8]
    assert figure.get_suptitle() == "a run\naccuracy 90.00 % (1 wrong of 10)"


def test_confusion_colours_errors_by_share_of_row_and_never_the_diagonal() -> None:
    labels = np.repeat(np.arange(10), 100)
    predictions = labels.copy()
    predictions[300:302] = 5
    figure = plots._confusion_matrix_figure(labels, predictions, DIGITS, "a run")
    shades = figure.axes[0].images[-1]
    shares: Any = np.ma.filled(np.ma.array(shades.get_array()), NAN)
    assert shares[3, 5] == 2
    assert np.isnan(shares).sum() == 99
    assert shades.get_clim() == (0.1, 100), "one scale for every picture"


def test_always_answering_1_is_readable() -> None:
    labels = np.repeat(np.arange(10), 50).astype(np.uint8)
    figure = plots._confusion_matrix_figure(labels, np.ones_like(labels), DIGITS, "a run")
    colours = {
        text.get_text(): text.get_color() for text in figure.axes[0].texts if text.get_position()[0] == 1
    }
    assert margin(figure) == ["correct", "0.0 %", "100.0 %", *["0.0 %"] * 8]
    assert colours == {"50": "white"}, "light figures on dark cells"


# Confident mistakes


def test_mistakes_come_surest_first_and_right_answers_not_at_all() -> None:
    images, labels = some_images(30)
    guesses = labels.copy()
    guesses[[4, 11, 20]] = [1, 3, 2]  # true: 5, 8, 9
    confidence = np.full(30, 0.999)
    confidence[[4, 11, 20]] = [0.6, 0.9976, 0.75]
    figure = plots._confident_mistakes_figure(
        images, labels, certain(guesses, confidence), DIGITS, "a run", 20
    )
    shown = [axes for axes in figure.axes if axes.images]
    assert [shown_image(axes) for axes in shown] == [11, 20, 4]
    assert [axes.get_title() for axes in shown] == ["8→3  99.8 %", "9→2  75.0 %", "5→1  60.0 %"]
    assert "3 of 3 mistakes among 30 images" in figure.get_suptitle()
    assert not any(axes.axison for axes in figure.axes if not axes.images), "unused cells are blank"


def test_mistakes_stop_at_count_and_never_claim_full_certainty() -> None:
    images, labels = some_images(30)
    wrong = (labels + 1) % 10
    figure = plots._confident_mistakes_figure(images, labels, certain(wrong, 1.0), FASHION, "a run", 8)
    shown = [axes for axes in figure.axes if axes.images]
    assert [shown_image(axes) for axes in shown] == list(range(8)), "equally sure: in the order of the images"
    assert shown[0].get_title() == "Ankle boot\n→T-shirt/top\n>99.9 %"
    assert all(not axes.axison for axes in figure.axes[8:])
    assert "8 of 30 mistakes" in figure.get_suptitle()


def test_no_mistakes_says_so() -> None:
    images, labels = some_images(30)
    figure = plots._confident_mistakes_figure(images, labels, certain(labels, 0.9), DIGITS, "a run", 20)
    assert [text.get_text() for text in figure.texts] == ["a run", "no mistakes among 30 images"]


# All pictures


def every_figure(class_names: list[str]) -> list[Figure]:
    images, labels = some_images()
    wrong = (labels + 1) % 10
    diverged = [row | {"train_loss": NAN, "validation_loss": NAN, "test_loss": NAN} for row in rows(50)]
    return [
        *(plots._learning_curves_figure(rows(n), "a run", "epoch", n) for n in (1, 5, 50, 313)),
        plots._learning_curves_figure(diverged, "a run", "epoch", None),
        plots._ten_digits_figure(images, labels, wrong, class_names, "a run"),
        plots._confusion_matrix_figure(labels, wrong, class_names, "a run"),
        plots._confident_mistakes_figure(images, labels, certain(wrong, 1.0), class_names, "a run", 20),
    ]


@pytest.mark.parametrize("class_names", [DIGITS, FASHION], ids=["digits", "fashion"])
def test_no_text_is_cut_off_and_none_lies_on_another(class_names: list[str]) -> None:
    for figure in every_figure(class_names):
        texts = drawn_texts(figure)
        for text, box in texts:
            assert figure.bbox.x0 <= box.x0, text
            assert figure.bbox.x1 >= box.x1, text
            assert figure.bbox.y0 <= box.y0, text
            assert figure.bbox.y1 >= box.y1, text
        level = [(text, box) for text, box in texts if text not in FASHION]  # their turned boxes are larger
        for (text, box), (other, other_box) in combinations(level, 2):
            assert not box.overlaps(other_box), f"{text!r} lies on {other!r}"


def write_each(folder: Path) -> dict[str, Callable[[], None]]:
    images, labels = some_images()
    wrong = (labels + 1) % 10
    names: dict[str, Any] = {"class_names": DIGITS, "title": "a run"}
    return {
        "curves.png": lambda: plots.learning_curves(rows(3), folder / "curves.png", title="100_$"),
        "ten.png": lambda: plots.ten_digits(images, labels, wrong, folder / "ten.png", **names),
        "confusion.png": lambda: plots.confusion_matrix(labels, wrong, folder / "confusion.png", **names),
        "mistakes.png": lambda: plots.confident_mistakes(
            images, labels, certain(wrong, 0.9), str(folder / "mistakes.png"), **names
        ),
    }


def test_each_picture_is_a_readable_png_and_the_only_new_file(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        for write in write_each(tmp_path).values():
            write()
    finally:
        os.umask(umask)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(write_each(tmp_path))
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_mode & 0o777 == 0o644, "others can read it, as any new file"


@pytest.mark.parametrize("name", ["curves.png", "ten.png", "confusion.png", "mistakes.png"])
@pytest.mark.parametrize("fails", ["half-written", "not replaced"])
def test_a_failure_leaves_the_old_picture_and_no_other_file(
    name: str, fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(b"the old picture")

    def half_written(figure: Figure, file: BytesIO, **options: Any) -> None:
        file.write(b"\x89PN")
        raise OSError("disk full")

    def not_replaced(old: Path, new: Path) -> None:
        raise OSError("disk full")

    if fails == "half-written":
        monkeypatch.setattr(Figure, "savefig", half_written)
    else:
        monkeypatch.setattr(os, "replace", not_replaced)
    with pytest.raises(OSError, match="disk full"):
        write_each(tmp_path)[name]()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"the old picture"


IMAGES, LABELS = some_images()
SURE = certain(LABELS, 0.9)


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (plots._ten_digits_figure, (IMAGES[1:], LABELS, LABELS, DIGITS), "images must be"),
        (plots._ten_digits_figure, (IMAGES / 255, LABELS, LABELS, DIGITS), "uint8.*got float64"),
        (
            plots._ten_digits_figure,
            (IMAGES.reshape(40, -1), LABELS, LABELS, DIGITS),
            r"got uint8 \[40, 784\]",
        ),
        (
            plots._ten_digits_figure,
            (IMAGES, LABELS, LABELS[1:], DIGITS),
            "predictions must be as many as labels",
        ),
        (plots._ten_digits_figure, (IMAGES, LABELS, LABELS, DIGITS[1:]), "ten class names, got 9"),
        (
            plots._confusion_matrix_figure,
            (LABELS + 1, LABELS, DIGITS),
            "labels must be from 0 to 9, got 1 to 10",
        ),
        (
            plots._confusion_matrix_figure,
            (LABELS, LABELS - 1, DIGITS),
            "predictions must be from 0 to 9, got -1",
        ),
        (plots._confusion_matrix_figure, (LABELS[:0], LABELS[:0], DIGITS), "labels must be .* N ≥ 1"),
        (plots._confusion_matrix_figure, (LABELS, SURE, DIGITS), r"predictions must be \[N\] integers"),
        (
            plots._confusion_matrix_figure,
            (LABELS, LABELS * 1.0, DIGITS),
            "predictions must be .* got float64",
        ),
    ],
)
def test_impossible_arrays_are_refused(
    build: Callable[..., Figure], arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(*arguments, "a run")


@pytest.mark.parametrize(
    ("probabilities", "count", "message"),
    [
        (np.where(np.arange(40)[:, None] == 7, NAN, SURE), 20, "probabilities of image 7"),
        (SURE[:, 1:], 20, r"must be \[40, 10\], got \[40, 9\]"),
        (SURE[1:], 20, r"must be \[40, 10\], got \[39, 10\]"),
        (np.log(SURE), 20, "probabilities of image 0"),
        (2 * SURE, 20, "add up to 1"),
        (SURE, 0, "count must be at least 1, got 0"),
    ],
)
def test_impossible_probabilities_are_refused(
    probabilities: NDArray[np.float64], count: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plots._confident_mistakes_figure(IMAGES, LABELS, probabilities, DIGITS, "a run", count)


def test_no_framework_no_pyplot_and_matplotlib_only_when_drawing(tmp_path: Path) -> None:
    program = """
import sys
from jax_lstm import plots
assert "matplotlib" not in sys.modules
plots.learning_curves([{"epoch": 1, "train_loss": 1.0}], sys.argv[1], title="a run")
assert not {"jax", "torch", "matplotlib.pyplot"} & set(sys.modules)
"""
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    command = [sys.executable, "-c", program, str(tmp_path / "curves.png")]
    subprocess.run(command, check=True, env=environment)
