"""What a user meets: the labs' printed lines, a live progress bar, and errors that end in an exit status."""

import os
import sys
from collections.abc import Callable, Mapping

from tqdm import tqdm

from jax_lstm.config import Config
from jax_lstm.errors import UserError

INTERRUPTED = 130
TERMINATED = 143


class Stopped(Exception):
    """A run that was told to stop, and has saved its state.

    Attributes:
        status: the exit status, 130 after Ctrl-C and 143 after SIGTERM.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def exit_status(job: Callable[[], None]) -> int:
    """The exit status of a command: 0; 2 where a user can mend it, 1 where not; 130 or 143 when stopped."""
    # Of every program that XLA loads from a cache it says, as an error, that no processor has the feature
    # "prefer-no-gather"; the level is read when JAX is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        job()
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return stopped.status
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; a run whose training had begun goes on with --resume RUN", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output went away (| head): nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


class Lines:
    """Prints a run's lines on stdout, above a progress bar on stderr when that is a terminal.

    Source: the lines of Lab 7 and Lab 6. Figures of the test set shown while training are labelled.
    """

    def __init__(self, config: Config, *, epochs: int, steps_per_epoch: int, quiet: bool) -> None:
        self.config = config
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.quiet = quiet
        self._bar: tqdm[None] | None = None
        self._last_epoch_shown = 0

    def say(self, text: str) -> None:
        """Print a line, unless --quiet."""
        if not self.quiet:
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def start(self, images: int, done: int) -> None:
        """Show the progress bar: images in all, and done before."""
        hidden = self.quiet or not sys.stderr.isatty()
        self._bar = tqdm(
            total=images, initial=done, unit=" images", unit_scale=True, disable=hidden, leave=False
        )

    def advance(self, images: int) -> None:
        """Move the progress bar on."""
        if self._bar:
            self._bar.update(images)

    def close(self) -> None:
        """Take the progress bar away."""
        if self._bar:
            self._bar.close()

    def step(self, epoch: int, batch: int, loss: float) -> None:
        """Lab 7's line every 100 steps; epoch and batch from 1."""
        if self.config.lines == "lab7":
            self.say(
                f"Epoch [{epoch}/{self.epochs}], Step [{batch}/{self.steps_per_epoch}], Loss: {loss:.4f}"
            )

    def evaluation(self, row: Mapping[str, float]) -> None:
        """The lab's line of an evaluation, from its row of the metrics."""
        if self.config.lines == "lab6":
            self.say(_lab6(row))
        elif self._is_due(int(row["epoch"])):
            self.say(_lab7(row, self.epochs))

    def _is_due(self, epoch: int) -> bool:
        """On a small data set the epochs are short: then one line per 100 steps is enough."""
        due = epoch in (1, self.epochs) or (epoch - self._last_epoch_shown) * self.steps_per_epoch >= 100
        if due:
            self._last_epoch_shown = epoch
        return due


def _lab7(row: Mapping[str, float], epochs: int) -> str:
    parts = [
        f">>> Epoch [{row['epoch']}/{epochs}] Train Loss: {row['train_loss']:.4f}"
        f" | Train Acc: {row['train_accuracy']:.2%}"
    ]
    if "validation_loss" in row:
        parts.append(f"Val Loss: {row['validation_loss']:.4f} | Val Acc: {row['validation_accuracy']:.2%}")
    if "test_loss" in row:
        parts.append(
            f"Test Loss: {row['test_loss']:.4f} | Test Acc: {row['test_accuracy']:.2%} (monitoring only)"
        )
    return " || ".join(parts)


def _lab6(row: Mapping[str, float]) -> str:
    # The lab prints float32 values in full, 72.58000183105469: a figure of 10,000 images has four digits.
    line = f"Iteration: {row['step']}. Loss: {row['batch_loss']}."
    if "test_accuracy" in row:
        line += f" Accuracy: {_float32(100 * row['test_accuracy'])} (test set, monitoring only)"
    if "validation_accuracy" in row:
        line += f" Validation accuracy: {_float32(100 * row['validation_accuracy'])}"
    return line


def _float32(value: float) -> float:
    import numpy as np

    return float(np.float32(value))
