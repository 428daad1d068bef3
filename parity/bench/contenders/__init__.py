"""All ways to train the classifier of a work that are raced. A worker process imports one of them."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from jax_lstm.data import Dataset
from parity.bench.works import Work

LEARNING_RATE = 0.01
EVALUATION_BATCH = 1000


class Contender(Protocol):
    """A classifier of a work, ready to train on one batch.

    All train by the mean cross entropy and plain SGD on the same weights and the same batch [B, T, I];
    nn.LSTM has a second bias besides, which starts at 0.
    """

    about: str
    """Which kernel runs, on what, with how many threads or devices."""

    def __init__(self, work: Work, **options: Any) -> None: ...

    def steps(self, n: int) -> float:
        """Make n training steps and wait for the last of them; its loss, before the update."""

    def logits(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """[N, C] of images [N, T, I]."""


class EpochContender(Protocol):
    """A way to train a class's model, an LSTM of `EPOCH_WORK` by Adam, ready to go over a data set."""

    about: str

    def __init__(self, data: Dataset) -> None: ...

    def prepare(self) -> None:
        """What an epoch does not include: compiling, and what is left of the epoch before."""

    def epoch(self) -> tuple[int, int]:
        """Train on every image that is not held out, then validate on those that are; how many each."""


@dataclass(frozen=True)
class Entry:
    """Where a contender is, and what it needs: packages, and a GPU or not."""

    module: str
    packages: tuple[str, ...]
    on: str = "cpu or gpu"

    @property
    def compiles(self) -> bool:
        """Whether it compiles, and can keep what it compiled: JAX and Inductor do."""
        return self.module.startswith(("of_jax", "of_keras")) or self.module.endswith(":Compiled")

    @property
    def missing(self) -> list[str]:
        """Its packages that are not installed."""
        return [name for name in self.packages if find_spec(name) is None]


OURS = "jax_lstm"
CONTENDERS = {
    OURS: Entry("of_jax_lstm:Fast", ()),
    "jax_lstm plain": Entry("of_jax_lstm:Plain", ()),
    "torch_ref": Entry("of_torch:Eager", ("torch",), on="cpu"),
    "torch_ref compiled": Entry("of_torch:Compiled", ("torch",), on="cpu"),
    "torch.nn.LSTM": Entry("of_torch:NNLSTM", ("torch",)),
    "flax.nnx.RNN": Entry("of_jax:FlaxNNX", ()),
    "equinox": Entry("of_jax:Equinox", ("equinox",)),
    "keras on jax": Entry("of_keras:Keras", ("keras",)),
    "jax.experimental.rnn": Entry("of_jax:JaxRNN", (), on="gpu"),
}
REFERENCE = "torch.nn.LSTM"
# The libraries that multiply matrices, for the floor.
PRODUCTS = {
    "torch.mm": Entry("products:Torch", ("torch",), on="cpu"),
    "numpy.matmul": Entry("products:NumPy", (), on="cpu"),
    "XLA": Entry("products:Jax", (), on="cpu"),
}
# Ways to go over a data set.
EPOCHS = {
    "jax_lstm.train": Entry("epochs_of_jax_lstm:Train", ()),
    "torch_ref, DataLoader": Entry("epochs_of_torch:LabLoop", ("torch",)),
    "torch_ref, in memory": Entry("epochs_of_torch:LeanLoop", ("torch",)),
    "nn.LSTM, DataLoader": Entry("epochs_of_torch:LabLoopNNLSTM", ("torch",)),
    "nn.LSTM, in memory": Entry("epochs_of_torch:LeanLoopNNLSTM", ("torch",)),
}
EPOCH_WORK = Work("epoch", B=128, H=128)
EPOCH_REFERENCE = "torch_ref, DataLoader"


def load(name: str) -> Any:
    """The class of a contender, of a library's products, or of an epoch; imports its framework."""
    module, cls = (CONTENDERS | PRODUCTS | EPOCHS)[name].module.split(":")
    return getattr(import_module(f"parity.bench.contenders.{module}"), cls)
