"""The work that contenders are timed on: one training step of a classifier of one size.

Sizes: B batch, T time steps, I inputs, H hidden units, L layers, C classes.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]

CLASSES = 10
Product = tuple[int, tuple[int, int], tuple[int, int]]
"""How often; the shape of the left matrix, and of the right."""
Products = dict[str, Product]
Precision = Literal["float32", "tf32", "bfloat16"]


@dataclass(frozen=True)
class Work:
    """One LSTM classifier of float32 and its batch.

    Attributes:
        name: as the card shows it.
        B, H, layers, T, I: sizes; T and I of MNIST rows unless told.
        precision: what a GPU multiplies the float32 matrices in; None where there is no choice, on a CPU.
    """

    name: str
    B: int
    H: int
    layers: int = 1
    T: int = 28
    I: int = 28  # noqa: E741
    precision: Precision | None = None

    def __str__(self) -> str:
        layers = f"{self.layers} layer{'s' * (self.layers > 1)}"
        precision = f", {self.precision}" if self.precision else ""
        return f"B{self.B} T{self.T} I{self.I} H{self.H}, {layers}{precision}"

    def with_size(self, letter: str, size: int) -> Self:
        """The same work, but for one size (B, H, layers, T or I)."""
        sizes: dict[str, Any] = {letter: size}
        return replace(self, **sizes)

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

    def parts(self) -> list[list[Products]]:
        """The matrix products of a training step, for all gates at once: parts, and ways to make each.

        W h and U x of every time step, and the gradients of W and U after the last, can be made apart (U x
        for the whole sequence) or together, with [W U]. dz W takes the gradient a time step back.
        """
        T, B, H, G = self.T, self.B, self.H, 4 * self.H
        rows = T * B
        found: list[list[Products]] = [[{"dz W": (T * self.layers, (B, G), (G, H))}]]
        for I, n, where in ((self.I, 1, "first layer"), (H, self.layers - 1, "above")):  # noqa: E741
            if n:
                apart: Products = {
                    f"W h, {where}": (T * n, (B, H), (H, G)),
                    f"U x, {where}": (n, (rows, I), (I, G)),
                }
                together: Products = {f"[W U] [h; x], {where}": (T * n, (B, H + I), (H + I, G))}
                found.append([apart, together])
                apart = {
                    f"dW, {where}": (n, (G, rows), (rows, H)),
                    f"dU, {where}": (n, (G, rows), (rows, I)),
                }
                together = {f"d[W U], {where}": (n, (G, rows), (rows, H + I))}
                found.append([apart, together])
        if self.layers > 1:
            found.append([{"dh of the layer below": (self.layers - 1, (rows, G), (G, H))}])
        return found

    def products(self) -> Products:
        """All of them, of every way."""
        return {name: product for ways in self.parts() for way in ways for name, product in way.items()}


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
