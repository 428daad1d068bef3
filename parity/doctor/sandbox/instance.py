"""An instance of the student's cell or classifier, whatever it is made of."""

import random
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from parity.doctor.sandbox.backends import AnyArray, Backend
from parity.doctor.sandbox.calling import Form
from parity.doctor.sandbox.sizes import Sizes
from parity.doctor.sandbox.wire import Array

Total = Callable[[Mapping[str, list[Any]]], Any]
"""Inputs by name, in pieces → the weighted sum of the outputs."""


class Instance(Protocol):
    """Something with parameters that can be called."""

    backend: Backend
    unregistered: frozenset[str]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the parameters, by name."""
        ...

    def values(self) -> dict[str, Array]:
        """The parameters now."""
        ...

    def assign(self, values: Mapping[str, AnyArray]) -> None:
        """Set the parameters; the values have the instance's dtype."""
        ...

    def call(self, form: Form, values: Mapping[str, Any]) -> Any:
        """What the student's code returns for x and the states, by role."""
        ...

    def gradients(self, total: Total, inputs: Mapping[str, list[AnyArray]]) -> dict[str, Any] | None:
        """Of a sum of its outputs by its parameters ("p:name") and inputs (in pieces); None: no gradients."""
        ...


class Model(Protocol):
    """What makes instances."""

    backend: Backend

    def build(self, sizes: Sizes, dtype: str) -> Instance:
        """A fresh instance."""
        ...


def seed_all(backend: Backend, seed: int) -> None:
    """Seed every generator that the student's code may draw from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    backend.seed(seed)
