"""An epoch of `python -m jax_lstm.train`."""

import tempfile
from pathlib import Path

from jax_lstm.config import Config
from jax_lstm.data import Dataset
from jax_lstm.runs import Run
from jax_lstm.steps import describe_devices, start_devices
from jax_lstm.trainer import Trainer
from parity.bench.contenders import EPOCH_WORK


class Train:
    """The trainer itself: its epoch, its validation, its metrics and the checkpoint after it."""

    def __init__(self, data: Dataset) -> None:
        self.config = Config(
            hidden_size=EPOCH_WORK.H,
            batch_size=EPOCH_WORK.B,
            epochs=1,
            optimizer="adam",
            learning_rate=1e-3,
        )
        self.data = data
        self.mesh = start_devices(self.config)
        self.about = f"compiled chunks of steps, {self.mesh.size} × {self.mesh.devices.flat[0].device_kind}"

    def prepare(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        info = {"devices": describe_devices(self.mesh), "fallback_reason": None}
        self.run = Run.new(Path(self._folder.name) / "run", "epoch", self.config, info)
        self.trainer = Trainer(self.run, self.data, self.mesh, quiet=True)
        self.run.make()

    def epoch(self) -> tuple[int, int]:
        with self.run.locked(), self.run.writing(keep=0):
            self.trainer.train()
        trainer, (row,) = self.trainer, self.run.evaluations
        assert row["step"] == trainer.steps_per_epoch
        return len(trainer.train_indices), len(self.data.train_labels) - len(trainer.train_indices)
