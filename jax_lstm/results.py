"""What trained weights get right: predictions, their score with its interval, and the pictures.

Sizes: N images, n of them selected, C classes.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from jax import Array
from jax.sharding import Mesh
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest

from jax_lstm import plots
from jax_lstm.config import Config
from jax_lstm.data import Dataset, sequential_batches
from jax_lstm.runs import Run
from jax_lstm.steps import Weights, make_predict, on_devices, split_over_devices, weight_shapes

BATCH = 500

Logits = npt.NDArray[np.float64]


class Score(NamedTuple):
    """Mean cross entropy in nats, and how many of how many images are right."""

    loss: float
    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """Share of the images that are right, 0 to 1."""
        return self.correct / self.total


class Predictor:
    """The model compiled for a fixed selection of images; no call compiles again.

    Attributes:
        labels: [n] classes of the selected images.
    """

    def __init__(
        self,
        config: Config,
        mesh: Mesh,
        images: Array,
        labels: npt.NDArray[np.uint8],
        indices: npt.NDArray[np.int32],
    ) -> None:
        """Compile for images [N, 28, 28] uint8 on the devices, labels [N], and indices [n] of those meant."""
        batches = sequential_batches(indices, min(BATCH, len(indices)), pad_to=mesh.size)
        self.labels = labels[indices]
        self._real = batches.weight > 0
        self._inputs = images, split_over_devices(batches.index, mesh)
        self._predict = make_predict(config, mesh).lower(weight_shapes(config, mesh), *self._inputs).compile()

    def logits(self, weights: Weights) -> Logits:
        """Logits [n, C], in the order of the indices."""
        return np.asarray(self._predict(weights, *self._inputs))[self._real].astype(np.float64)

    def score(self, weights: Weights) -> Score:
        """Loss and accuracy on the selected images."""
        return score(self.logits(weights), self.labels)


def predictor_for_test(config: Config, mesh: Mesh, data: Dataset) -> Predictor:
    """The model compiled for all test images of a data set."""
    everything = np.arange(len(data.test_labels), dtype=np.int32)
    return Predictor(config, mesh, on_devices(data.test_images, mesh), data.test_labels, everything)


def score(logits: Logits, labels: npt.NDArray[np.integer]) -> Score:
    """Cross entropy and accuracy of logits [n, C] against labels [n]."""
    losses = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return Score(float(losses.mean()), int((logits.argmax(1) == labels).sum()), len(labels))


def interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy, as fractions. Source: Wilson (1927), by scipy.stats."""
    low, high = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


def accuracy_line(result: Score) -> str:
    """The lab's "Test Accuracy" line, with the count and the interval behind it."""
    low, high = interval(result.correct, result.total)
    return (
        f"Test Accuracy: {result.accuracy:.2%}  ({result.correct:,}/{result.total:,} right,"
        f" 95 % interval {low:.2%} to {high:.2%})"
    )


def draw(run: Run, data: Dataset, logits: Logits) -> None:
    """Write the run's pictures: learning curves, and ten digits, confusions and mistakes on the test set."""
    title, names = f"{run.preset} on {data.name}", data.class_names
    if run.evaluations:
        plots.learning_curves(
            run.evaluations,
            run.path / "learning_curves.png",
            title=title,
            x_key="step" if run.config.lines == "lab6" else "epoch",
            best_epoch=run.best_epoch,
        )
    images, labels, predictions = data.test_images, data.test_labels, logits.argmax(1)
    path = run.path / "ten_digits.png"
    plots.ten_digits(images, labels, predictions, path, class_names=names, title=title)
    path = run.path / "confusion_matrix.png"
    plots.confusion_matrix(labels, predictions, path, class_names=names, title=title)
    path = run.path / "mistakes.png"
    plots.confident_mistakes(images, labels, softmax(logits, axis=1), path, class_names=names, title=title)
