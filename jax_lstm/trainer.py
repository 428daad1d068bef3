"""The training loop: compiled chunks of steps; lines, evaluations and checkpoints between them."""

import math
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

import numpy as np
from jax import Array
from jax.sharding import Mesh

from jax_lstm.checkpoint import restore, save, save_weights
from jax_lstm.console import INTERRUPTED, TERMINATED, Lines, Stopped
from jax_lstm.data import Batches, Dataset, epoch_batches, split
from jax_lstm.model import weights_header
from jax_lstm.results import Predictor, accuracy_line, draw, predictor_for_test, score
from jax_lstm.runs import SUMMARY, WEIGHTS, Run, RunError, write_json
from jax_lstm.steps import Weights, init_state, make_chunk, on_devices, split_over_devices

CHUNK = 100
LAB6_EVERY = 500
CHECKPOINT_SECONDS = 20.0
CHECKPOINTS = "checkpoints"


@dataclass
class Progress:
    """Where a run stands; together with the TrainState, all that is needed to go on."""

    epoch: int = 0
    """Epochs finished."""
    batch: int = 0
    """Steps finished of the epoch under way."""
    step: int = 0
    """Steps finished in all."""
    loss_sum: float = 0.0
    correct: float = 0.0
    images: float = 0.0
    """Sums over the images since the last evaluation."""
    best_epoch: int | None = None
    best_loss: float | None = None
    """The lowest validation loss so far, with --patience."""
    metrics: int = 0
    """Rows of metrics.jsonl."""
    batch_loss: float = 0.0
    """Loss of the last step's batch."""
    finished: bool = False
    """No training step is left."""
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    compile_seconds: float = 0.0


class Trainer:
    """A run from its data to its summary.

    Attributes:
        epochs, steps_per_epoch, total_steps: the length of the whole run.
        progress: how far it is.
    """

    def __init__(self, run: Run, data: Dataset, mesh: Mesh, *, quiet: bool = False) -> None:
        """Place the data on the devices, make the first state, and compile."""
        start = time.perf_counter()
        config = run.config
        self.run, self.config, self.data, self.mesh = run, config, data, mesh
        self.train_indices, validation_indices = split(
            data.train_labels, config.validation_fraction, config.seed
        )
        self.steps_per_epoch = math.ceil(len(self.train_indices) / config.batch_size)
        self.epochs = config.epochs or math.ceil(config.steps / self.steps_per_epoch)
        self.total_steps = self.epochs * self.steps_per_epoch
        self.lines = Lines(config, epochs=self.epochs, steps_per_epoch=self.steps_per_epoch, quiet=quiet)
        self._asked_to_stop: int | None = None
        self._epoch_batches: tuple[int, Batches] | None = None

        self._images = on_devices(data.train_images, mesh)
        self._labels = on_devices(data.train_labels.astype(np.int32), mesh)
        self._validation = (
            Predictor(config, mesh, self._images, data.train_labels, validation_indices)
            if len(validation_indices)
            else None
        )
        self._test = predictor_for_test(config, mesh, data)
        self.state = init_state(config, self.total_steps, mesh)
        self.best = {name: np.array(w) for name, w in self.state.weights.items()} if config.patience else {}
        chunk = make_chunk(config, self.total_steps, mesh)
        index, weight = self._place(self._batches(0), 0)
        self._chunk = chunk.lower(self.state, self._images, self._labels, index, weight, 0).compile()
        self.progress = Progress(compile_seconds=time.perf_counter() - start)

    def go_on(self) -> bool:
        """Take up the run's last checkpoint; False when there is none yet.

        Raises:
            CheckpointError: it is damaged, or of a model of other sizes.
            RunError: config.json was edited since.
        """
        stored = restore(self.run.path / CHECKPOINTS, self._arrays())
        if stored is None:
            return False
        arrays, meta = stored
        if odd := [k for k, v in self._settings().items() if meta["settings"].get(k, v) != v]:
            raise RunError(
                f"config.json was changed since the last checkpoint ({', '.join(odd)}): put it back"
            )
        progress = meta["progress"]
        self.state, self.best = arrays["state"], arrays["best"]
        compile_seconds = self.progress.compile_seconds + progress.pop("compile_seconds")
        self.progress = Progress(**progress, compile_seconds=compile_seconds)
        return True

    def train(self) -> None:
        """Train to the end, or until told to stop.

        Raises:
            Stopped: Ctrl-C or SIGTERM came; the state is saved.
            RunError: the loss is not finite.
        """
        p = self.progress
        done = p.epoch * len(self.train_indices) + p.batch * self.config.batch_size
        self.lines.start(self.epochs * len(self.train_indices), done)
        saved_at = time.perf_counter()
        try:
            with self._signals():
                while not p.finished:
                    self._run_chunk()
                    if self._evaluation_is_due():
                        self._evaluate()
                    due = time.perf_counter() - saved_at > CHECKPOINT_SECONDS
                    if due or p.finished or self._asked_to_stop:
                        self._save()
                        saved_at = time.perf_counter()
                    if self._asked_to_stop:
                        raise Stopped(self._asked_to_stop, self._how_to_go_on())
        finally:
            self.lines.close()

    def _run_chunk(self) -> None:
        """Train up to the next multiple of 100 steps, of the epoch or, with Lab 6's lines, of the run."""
        p = self.progress
        batches = self._batches(p.epoch)
        position = p.step if self.config.lines == "lab6" else p.batch
        n = min(CHUNK - position % CHUNK, self.steps_per_epoch - p.batch)
        start = time.perf_counter()
        index, weight = self._place(batches, p.batch)
        self.state, result = self._chunk(self.state, self._images, self._labels, index, weight, n)
        # NumPy cuts to n: JAX would compile a slice for every n
        losses, correct = (np.asarray(a)[:n].astype(np.float64) for a in result)
        p.train_seconds += time.perf_counter() - start
        finite = np.isfinite(losses)
        self._check_finite("training", float(losses.sum()), at=p.step + int(np.argmin(finite)) + 1)
        sizes = batches.weight[p.batch : p.batch + n].sum(1)
        p.loss_sum += float(losses @ sizes)
        p.correct += float(correct.sum())
        p.images += float(sizes.sum())
        p.batch, p.step, p.batch_loss = p.batch + n, p.step + n, float(losses[-1])
        self.lines.advance(int(sizes.sum()))
        if (position + n) % CHUNK == 0:
            self.run.record("step", step=p.step, loss=p.batch_loss)
            self.lines.step(p.epoch + 1, p.batch, p.batch_loss)
        if p.batch == self.steps_per_epoch:
            p.epoch, p.batch = p.epoch + 1, 0
            p.finished = p.epoch == self.epochs

    def _check_finite(self, name: str, loss: float, at: int | None = None) -> None:
        if not math.isfinite(loss):
            step = self.progress.step if at is None else at
            raise RunError(
                f"the {name} loss is not finite at step {step}: lower --learning-rate or set --clip-norm"
            )

    def _evaluation_is_due(self) -> bool:
        """Lab 7 evaluates after every epoch, Lab 6 after every 500 iterations; both at the end."""
        p = self.progress
        regular = p.step % LAB6_EVERY == 0 if self.config.lines == "lab6" else p.batch == 0
        return regular or p.finished

    def _evaluate(self) -> None:
        """Measure on the validation images (and on the test images, to show only), and see about stopping."""
        p, weights = self.progress, self._weights_to_evaluate()
        row = {
            "step": p.step,
            "epoch": p.epoch + (p.batch > 0),
            "train_loss": p.loss_sum / p.images,
            "train_accuracy": p.correct / p.images,
            "batch_loss": p.batch_loss,
        }
        p.loss_sum = p.correct = p.images = 0.0
        start = time.perf_counter()
        shown = {"validation": self._validation, "test": self._test if self.config.monitor_test else None}
        for name, predictor in shown.items():
            if predictor:
                result = predictor.score(weights)
                self._check_finite(name, result.loss)
                row |= {f"{name}_loss": result.loss, f"{name}_accuracy": result.accuracy}
        p.evaluation_seconds += time.perf_counter() - start
        self.run.record("evaluation", **row)
        self.lines.evaluation(row)
        if self.config.patience:
            self._stop_early(row["validation_loss"], weights)

    def _stop_early(self, loss: float, weights: Weights) -> None:
        """Keep the weights of the epoch of lowest validation loss; finish when it is too long ago."""
        p = self.progress
        if p.best_loss is None or loss < p.best_loss:
            p.best_epoch, p.best_loss = p.epoch, loss
            self.best = {name: np.array(w) for name, w in weights.items()}
        elif p.epoch - (p.best_epoch or 0) >= self.config.patience:
            p.finished = True
            self.lines.say(
                f"Early stopping after epoch {p.epoch}: the validation loss was lowest after {p.best_epoch}"
            )

    def finish(self) -> None:
        """Read the test set and say the result; write the weights, the pictures and the summary."""
        p, config = self.progress, self.config
        weights = on_devices(self.best, self.mesh) if config.patience else self._weights_to_evaluate()
        logits = self._test.logits(weights)
        result = score(logits, self._test.labels)
        self._check_finite("test", result.loss)
        seconds = f"{p.train_seconds:.1f} s, and {p.evaluation_seconds:.1f} s of evaluation"
        self.lines.say(f"Trained {p.step} steps in {seconds}")
        print(accuracy_line(result), flush=True)
        validation = self._validation.score(weights) if self._validation else None
        arrays = {name: np.asarray(w) for name, w in weights.items()}
        save_weights(self.run.path / WEIGHTS, arrays, weights_header(config))
        draw(self.run, self.data, logits)
        summary = {
            "preset": self.run.preset,
            "dataset": self.data.name,
            "fallback_reason": self.run.info["fallback_reason"],
            "seed": config.seed,
            "test_correct": result.correct,
            "test_total": result.total,
            "test_accuracy": result.accuracy,
            "test_loss": result.loss,
            "validation_accuracy": validation and validation.accuracy,
            "validation_loss": validation and validation.loss,
            "epochs": p.epoch,
            "best_epoch": p.best_epoch,
            "steps": p.step,
            "train_seconds": p.train_seconds,
            "evaluation_seconds": p.evaluation_seconds,
            "compile_seconds": p.compile_seconds,
            "devices": self.mesh.size,
        }
        write_json(self.run.path / SUMMARY, summary)

    def _weights_to_evaluate(self) -> Weights:
        return self.state.average or self.state.weights

    def _batches(self, epoch: int) -> Batches:
        """The batches of an epoch, kept until the next one is asked for."""
        if self._epoch_batches is None or self._epoch_batches[0] != epoch:
            size, seed = self.config.batch_size, self.config.seed
            self._epoch_batches = epoch, epoch_batches(self.train_indices, size, seed, epoch, self.mesh.size)
        return self._epoch_batches[1]

    def _place(self, batches: Batches, start: int) -> tuple[Array, Array]:
        """CHUNK steps of batches on the devices, from `start` on; past the epoch's end they stay unused."""
        rows = np.arange(start, start + CHUNK) % self.steps_per_epoch
        index, weight = batches.index[rows], batches.weight[rows]
        return split_over_devices(index, self.mesh), split_over_devices(weight, self.mesh)

    def _save(self) -> None:
        self.progress.metrics = len(self.run.metrics)
        meta = {"progress": asdict(self.progress), "settings": self._settings()}
        save(self.run.path / CHECKPOINTS, self.progress.step, self._arrays(), meta)

    def _settings(self) -> dict[str, Any]:
        """What must not change between a checkpoint and its resumption: all but where the data lies."""
        return {k: v for k, v in self.config.to_dict().items() if k != "data_dir"}

    def _arrays(self) -> dict[str, Any]:
        return {"state": self.state, "best": self.best}

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM ask for a stop after the chunk; a second one stops at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            self._asked_to_stop = INTERRUPTED if number == signal.SIGINT else TERMINATED
            signal.signal(number, before[signal.Signals(number)])

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _how_to_go_on(self) -> str:
        return (
            f"Stopped after step {self.progress.step} of {self.total_steps}; everything is saved.\n"
            f"Go on with: python -m jax_lstm.train --resume {shlex.quote(str(self.run.path))}"
        )
