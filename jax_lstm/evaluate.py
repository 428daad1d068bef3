"""python -m jax_lstm.evaluate RUN: what a run gets right, overall and per class, with its pictures."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import tyro

from jax_lstm.console import exit_status

if TYPE_CHECKING:
    import numpy as np
    from jax import Array
    from jax.sharding import Mesh

    from jax_lstm.config import Config
    from jax_lstm.data import Dataset
    from jax_lstm.runs import Run

BATCH = 500
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class Command:
    """Evaluate a finished run on its test set, and draw its pictures again."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    data_dir: Path | None = None
    """Folder with the four original files, where it is not the one that the run used."""


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
    """The compiled model over a fixed selection of images.

    Attributes:
        compile_seconds: what compiling took.
        seconds: what all calls so far took.
    """

    def __init__(
        self, config: "Config", mesh: "Mesh", images: "Array", labels: "np.ndarray", indices: "np.ndarray"
    ) -> None:
        """images [N, 28, 28] uint8 on the devices, labels [N], indices of those to predict [n]."""
        from jax_lstm.data import sequential_batches
        from jax_lstm.steps import make_predict, split_over_devices

        batches = sequential_batches(indices, min(BATCH, len(indices)), pad_to=mesh.size)
        self.labels = labels[indices]
        self._real = batches.weight > 0
        self._images = images
        self._index = split_over_devices(batches.index, mesh)
        self._predict = make_predict(config, mesh)
        self.compile_seconds = 0.0
        self.seconds = 0.0

    def compile(self, weights: "dict[str, Array]") -> None:
        """Compile for weights of these shapes; later calls never compile."""
        start = time.perf_counter()
        self._predict = self._predict.lower(weights, self._images, self._index).compile()
        self.compile_seconds = time.perf_counter() - start

    def logits(self, weights: "dict[str, Array]") -> "np.ndarray":
        """Logits [n, C] float64, in the order of the indices."""
        import numpy as np

        start = time.perf_counter()
        logits = np.asarray(self._predict(weights, self._images, self._index))[self._real]
        self.seconds += time.perf_counter() - start
        return logits.astype(np.float64)

    def score(self, weights: "dict[str, Array]") -> Score:
        """Loss and accuracy on the selected images."""
        return score(self.logits(weights), self.labels)


def score(logits: "np.ndarray", labels: "np.ndarray") -> Score:
    """Cross entropy and accuracy of logits [n, C] against labels [n]."""
    from scipy.special import log_softmax

    losses = -log_softmax(logits, axis=1)[range(len(labels)), labels]
    return Score(float(losses.mean()), int((logits.argmax(1) == labels).sum()), len(labels))


def interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % Wilson interval of an accuracy, as fractions. Source: Wilson (1927), by scipy.stats."""
    from scipy.stats import binomtest

    low, high = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


def accuracy_line(result: Score) -> str:
    """The lab's "Test Accuracy" line, with the count and the interval behind it."""
    low, high = interval(result.correct, result.total)
    return (
        f"Test Accuracy: {result.accuracy:.2%}  ({result.correct:,}/{result.total:,} right,"
        f" 95 % interval {low:.2%} to {high:.2%})"
    )


def draw(run: "Run", data: "Dataset", logits: "np.ndarray") -> None:
    """Write the run's four pictures: learning curves, ten digits, confusion matrix, confident mistakes."""
    from scipy.special import softmax

    from jax_lstm import plots

    x_key = "step" if run.config.lines == "lab6" else "epoch"
    title = f"{run.preset} on {data.name}"
    curves = run.path / "learning_curves.png"
    plots.learning_curves(run.evaluations, curves, title=title, x_key=x_key, best_epoch=run.best_epoch)
    images, labels, names = data.test_images, data.test_labels, data.class_names
    predictions = logits.argmax(1)
    plots.ten_digits(images, labels, predictions, run.path / "ten_digits.png", class_names=names, title=title)
    plots.confusion_matrix(labels, predictions, run.path / "confusion_matrix.png", class_names=names, title=title)
    plots.confident_mistakes(
        images, labels, softmax(logits, axis=1), run.path / "mistakes.png", class_names=names, title=title
    )


def run_evaluation(command: Command) -> None:
    """Load a run's weights and data, print what it gets right, and draw its pictures."""
    import numpy as np

    from jax_lstm.checkpoint import CheckpointError, load_weights
    from jax_lstm.data import load
    from jax_lstm.runs import Run
    from jax_lstm.steps import on_devices, start_devices, weight_shapes

    run = Run.open(command.run)
    weights, _ = load_weights(run.path / WEIGHTS_FILE)
    data = load(run.config.dataset, command.data_dir or run.config.data_dir)
    mesh = start_devices(run.config)
    expected = {name: (w.shape, w.dtype) for name, w in weight_shapes(run.config).items()}
    if {name: (w.shape, w.dtype) for name, w in weights.items()} != expected:
        message = "holds weights of other settings than its config.json: put back the run's own"
        raise CheckpointError(f"{run.path / WEIGHTS_FILE} {message}")
    images = on_devices(data.test_images, mesh)
    placed = on_devices(weights, mesh)
    predictor = Predictor(run.config, mesh, images, data.test_labels, np.arange(len(data.test_labels)))
    logits = predictor.logits(placed)
    result = score(logits, data.test_labels)
    print(f"{run.path}: {run.preset} on {data.name}, {result.total:,} test images")
    print(f"Test Loss: {result.loss:.4f}")
    print(accuracy_line(result))
    for digit, name in enumerate(data.class_names):
        of_class = data.test_labels == digit
        right = int((logits[of_class].argmax(1) == digit).sum())
        print(f"  {name:>12}: {right / max(of_class.sum(), 1):8.2%}  ({right:,}/{of_class.sum():,})")
    draw(run, data, logits)
    print(f"Pictures drawn again in {run.path}")


def main() -> int:
    """The command line."""
    return exit_status(lambda: run_evaluation(tyro.cli(Command, prog="python -m jax_lstm.evaluate")))


if __name__ == "__main__":
    sys.exit(main())
