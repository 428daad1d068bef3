"""The work that contenders are timed on: one training step of a classifier of one size.

Sizes: B batch, T time steps, I inputs, H hidden units, L layers, C classes.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]

CLASSES = 10


@dataclass(frozen=True)
class Work:
    """One LSTM classifier of float32 and its batch.

    Attributes:
        name: as the card shows it.
        B, H, layers, T, I: sizes; T and I of MNIST rows unless told.
    """

    name: str
    B: int
    H: int
    layers: int = 1
    T: int = 28
    I: int = 28  # noqa: E741

    def __str__(self) -> str:
        layers = f"{self.layers} layer{'s' * (self.layers > 1)}"
        return f"B{self.B} T{self.T} I{self.I} H{self.H}, {layers}"

    def with_size(self, letter: str, size: int) -> Self:
        """The same work, but for one size (B, H, layers, T or I)."""
        return replace(self, **{letter: size})  # type: ignore[arg-type]

    def weights(self) -> Arrays:
        """Canonical weights, U(±1/√H), the same for all contenders."""
        rng = np.random.default_rng(0)

        def uniform(*shape: int) -> np.ndarray[Any, Any]:
            return rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(self.H**0.5)

        weights: Arrays = {}
        for l in range(self.layers):  # noqa: E741
            for gate in "ifoc":
                weights[f"layers.{l}.W_{gate}"] = uniform(self.H, self.H)
                weights[f"layers.{l}.U_{gate}"] = uniform(self.H, self.H if l else self.I)
                weights[f"layers.{l}.b_{gate}"] = uniform(self.H)
        return weights | {"W_out": uniform(CLASSES, self.H), "b_out": uniform(CLASSES)}

    def images(self, N: int) -> np.ndarray[Any, Any]:
        """N random images [N, T, I], float32 in [0, 1], as a DataLoader hands them over."""
        return np.random.default_rng(1).random((N, self.T, self.I), np.float32)

    def labels(self, N: int) -> np.ndarray[Any, Any]:
        """Their random classes [N], int64."""
        return np.random.default_rng(2).integers(0, CLASSES, N)

    def products(self) -> dict[str, tuple[int, tuple[int, int], tuple[int, int]]]:
        """The matrix products of a training step: name → (how often, shape of the left, of the right).

        Per layer, over all gates at once: W h at every time step, forward and backward; U x of the whole
        sequence, and the gradients of W and U, in one product each; and, below the first layer, of x.
        """
        B, T, H, G = self.B, self.T, self.H, 4 * self.H
        found: dict[str, tuple[int, tuple[int, int], tuple[int, int]]] = {
            "W h": (T * self.layers, (B, H), (H, G)),
            "dz W": (T * self.layers, (B, G), (G, H)),
            "dW": (self.layers, (G, T * B), (T * B, H)),
        }
        for name, I, times in (("U x", self.I, 1), ("U h", H, self.layers - 1)):  # noqa: E741
            if times:
                found[name] = (times, (T * B, I), (I, G))
                found[f"gradient of U, {name}"] = (times, (G, T * B), (T * B, I))
        if self.layers > 1:
            found["dh of the layer below"] = (self.layers - 1, (T * B, G), (G, H))
        return found


WORKS = {
    work.name: work
    for work in (
        Work("lab7-template", B=128, H=32),
        Work("lab7-tuned", B=128, H=128, layers=2),
        Work("h128", B=128, H=128),
        Work("lab6-a", B=100, H=100),
        Work("lab6-b", B=100, H=100, layers=2),
        Work("lab6-c", B=100, H=100, layers=3),
        Work("h512", B=256, H=512),
        Work("long", B=64, H=128, T=784, I=1),
    )
}
