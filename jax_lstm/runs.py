"""The run folder: what a run leaves behind, and how it is found again.

config.json         preset, every setting, devices, versions: enough to run it again
metrics.jsonl       one JSON object a line: kind "step", "evaluation"
tensorboard/        the same scalars for TensorBoard
checkpoints/        the newest state, to go on from (checkpoint.py)
model.safetensors   the final weights in their canonical form
summary.json        the result
*.png               the pictures (plots.py)
"""

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from jax_lstm.config import Config
from jax_lstm.errors import UserError
from jax_lstm.files import write_atomic

if TYPE_CHECKING:
    import jax
    import numpy as np
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

CONFIG = "config.json"
METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
WEIGHTS = "model.safetensors"


class RunError(UserError):
    """A run folder that cannot be used; the message says what to do."""


class Run:
    """One run folder.

    Attributes:
        path: the folder.
        preset: the preset's name.
        config: every setting; `dataset` is the one that was used, never "auto".
        info: what else config.json holds (devices, versions, why digits replaced MNIST).
    """

    def __init__(self, path: Path, preset: str, config: Config, info: Mapping[str, Any]) -> None:
        self.path = path
        self.preset = preset
        self.config = config
        self.info = dict(info)
        self.metrics: list[dict[str, Any]] = []
        self._file: TextIO
        self._events: EventFileWriter

    @staticmethod
    def new(path: Path | None, preset: str, config: Config, info: Mapping[str, Any]) -> "Run":
        """A run to come, in `path` or else runs/<time>-<preset>; `make` makes the folder.

        Raises:
            RunError: there is a file, or a folder that is not empty.
        """
        path = path or _free(Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{preset}")
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} is a file: give another --run-dir")
        if path.is_dir() and any(path.iterdir()):
            raise RunError(
                f"{path} is not empty: give another --run-dir, or go on with its run by --resume {path}"
            )
        return Run(path, preset, config, {**info, "versions": versions()})

    def make(self) -> None:
        """Make the folder and its config.json.

        Raises:
            RunError: they cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            values = {"preset": self.preset, "config": self.config.to_dict(), **self.info}
            write_json(self.path / CONFIG, values)
        except OSError as error:
            raise RunError(f"the run folder {self.path} cannot be made: {error.strerror}") from error

    @staticmethod
    def open(path: Path) -> "Run":
        """The run that left this folder.

        Raises:
            RunError: no run there, or a config.json that cannot be read.
        """
        try:
            stored = json.loads((path / CONFIG).read_text())
            run = Run(path, stored.pop("preset"), Config.from_dict(stored.pop("config")), stored)
            _check_info(stored)
        except FileNotFoundError:
            raise RunError(f"{path} is not a run folder: it has no {CONFIG}") from None
        except KeyError as error:
            raise RunError(f"{path / CONFIG} cannot be used: it has no {error}") from error
        except (OSError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise RunError(f"{path / CONFIG} cannot be used: {error}") from error
        run.metrics = _read_metrics(path / METRICS)
        return run

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this folder; the metrics are read again under the lock.

        Raises:
            RunError: another process is at it.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            message = f"another process is training in {self.path}: wait for it, or stop it"
            raise RunError(message) from None
        try:
            self.metrics = _read_metrics(self.path / METRICS)
            yield
        finally:
            lock.release()

    @property
    def is_finished(self) -> bool:
        """Whether the run has its summary."""
        return (self.path / SUMMARY).exists()

    def load_weights(self, expected: Mapping[str, "jax.ShapeDtypeStruct"]) -> dict[str, "np.ndarray"]:
        """The final weights by their canonical names, of the expected shapes and dtypes.

        Raises:
            CheckpointError: the file is damaged.
            RunError: there is none yet, or its weights are of other settings than the run's.
        """
        from jax_lstm.checkpoint import load_weights
        from jax_lstm.model import weights_header

        path = self.path / WEIGHTS
        if not path.exists():
            raise RunError(f"{self.path} has no {WEIGHTS} yet: finish it with --resume {self.path}")
        weights, header = load_weights(path)
        odd = [key for key, value in weights_header(self.config).items() if header.get(key) != value]
        found = {name: (w.shape, w.dtype) for name, w in weights.items()}
        if odd or found != {name: (w.shape, w.dtype) for name, w in expected.items()}:
            what = ", ".join(odd) or "shapes"
            raise RunError(f"{path} is of other settings than config.json ({what}): put back the run's own")
        return weights

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The rows of the evaluations, in order."""
        return [row for row in self.metrics if row["kind"] == "evaluation"]

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights early stopping keeps; None without early stopping."""
        if not self.config.patience or not self.evaluations:
            return None
        return int(min(self.evaluations, key=lambda row: row.get("validation_loss", math.inf))["epoch"])

    @contextmanager
    def writing(self, keep: int) -> Iterator[None]:
        """Keep the first `keep` rows of the metrics, and write those to come.

        Raises:
            RunError: rows are missing.
        """
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if len(self.metrics) < keep:
            raise RunError(f"{self.path / METRICS} has lost rows: {keep} were written; start the run again")
        del self.metrics[keep:]
        write_atomic(self.path / METRICS, "".join(json.dumps(row) + "\n" for row in self.metrics))
        events = self.path / "tensorboard"
        again = events.exists()
        self._events = EventFileWriter(str(events))
        try:
            if again:
                self._forget_events(self.metrics[-1]["step"] + 1 if keep else 0)
            with (self.path / METRICS).open("a") as self._file:
                yield
        finally:
            self._events.close()

    def record(self, kind: str, **values: float | None) -> None:
        """Add a row to the metrics and to TensorBoard's scalars; `step` is among the values."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        row = {"kind": kind, **values}
        self.metrics.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        scalars = [
            Summary.Value(tag=f"{kind}/{name}", simple_value=value)
            for name, value in values.items()
            if name != "step" and value is not None
        ]
        self._events.add_event(
            Event(wall_time=time.time(), step=values["step"], summary=Summary(value=scalars))
        )

    def _forget_events(self, step: int) -> None:
        """Tell TensorBoard that events from this step on, written before a stop, no longer count."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        # TensorBoard heeds a restart only in a file that has named its version
        self._events.add_event(Event(wall_time=time.time(), file_version="brain.Event:2"))
        restart = SessionLog(status=SessionLog.START)
        self._events.add_event(Event(wall_time=time.time(), step=step, session_log=restart))


def versions() -> dict[str, str]:
    """The versions that decide how a run rounds."""
    return {name: version(name) for name in ("jax-lstm", "jax", "jaxlib", "flax", "optax", "numpy")}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object, atomically."""
    write_atomic(path, json.dumps(values, indent=2) + "\n")


def _check_info(info: Mapping[str, Any]) -> None:
    devices = info["devices"]
    if not (isinstance(devices["count"], int) and isinstance(devices["platform"], str)):
        raise ValueError(f"devices must have a count and a platform, got {devices}")
    if not (isinstance(info["versions"], dict) and isinstance(info["fallback_reason"], str | None)):
        raise ValueError("versions must be an object, and fallback_reason a text or null")


def _read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics file, without a last one that a kill cut short."""
    rows: list[dict[str, Any]] = []
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return rows
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            rows.append({**row, "kind": row["kind"], "step": row["step"]})
        except (ValueError, TypeError, KeyError) as error:
            if number < len(lines):
                raise RunError(f"line {number} of {path} is damaged: {error}; put back a copy") from error
    return rows


def _free(path: Path) -> Path:
    """The path, or the first of path-2, path-3, … that is free."""
    candidate, n = path, 1
    while candidate.exists():
        n += 1
        candidate = path.with_name(f"{path.name}-{n}")
    return candidate
