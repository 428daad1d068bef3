"""How parameters enter the pre-activations: products of a parameter and an operand.

Sizes: N parameter draws, B probes, P single parameters, S pre-activations per unit (4 in an LSTM), H hidden
units, I inputs.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from parity.doctor.program import Array

Operand = tuple[str, int]
"""("x", k), ("first", k) and ("second", k) for the states as the cell takes them, ("new first", k) and ("new
second", k) for what it returns, ("sum", k) for both states added, ("1", 0)."""


class Cell(Protocol):
    """A cell as it is probed: N calls at once, as `Subject.run`."""

    def __call__(
        self, parameters: Mapping[str, Array], x: Array, first: Array, second: Array
    ) -> tuple[Array, Array]:
        """Parameters [N, …], x [N, B, I], states [N, B, H] → the two states returned, [N, B, H]."""
        ...


@dataclass(frozen=True)
class Term:
    """One product in a pre-activation: coefficient · parameter · operand."""

    slot: int
    unit: int
    operand: Operand
    element: int
    coefficient: float


@dataclass(frozen=True)
class Reading:
    """How the parameters enter the pre-activations.

    Attributes:
        shapes: of the parameters by name; single parameters are counted through them in this order.
        I, H: the sizes it was measured at.
        slots: pre-activations per unit.
        terms: every product.
        dead: single parameters that change nothing.
        measured: and not stated by names and shapes.
    """

    shapes: Mapping[str, tuple[int, ...]]
    I: int  # noqa: E741
    H: int
    slots: int
    terms: tuple[Term, ...]
    dead: tuple[int, ...] = ()
    measured: bool = True

    @cached_property
    def size(self) -> int:
        """How many single parameters there are."""
        return sum(int(np.prod(s)) for s in self.shapes.values())

    @cached_property
    def _by_kind(self) -> dict[str, tuple[Array, ...]]:
        """Kind of operand → its terms as columns: slot, unit, index, element, coefficient."""
        columns: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        for t in self.terms:
            columns[t.operand[0]].append((t.slot, t.unit, t.operand[1], t.element, t.coefficient))
        return {kind: tuple(np.array(c).T) for kind, c in columns.items()}

    def block(self, kind: str, flat: Array) -> Array:
        """The matrices [N, S, H, K] that multiply one kind of operand of size K, from parameters [N, P]."""
        size = {"x": self.I, "1": 1}.get(kind, self.H)
        out = np.zeros((len(flat), self.slots, self.H, size))
        if kind in self._by_kind:
            slot, unit, index, element, coefficient = self._by_kind[kind]
            s, u, k, e = (a.astype(int) for a in (slot, unit, index, element))
            place: tuple[Any, ...] = (slice(None), s, u, k)
            np.add.at(out, place, flat[:, e] * coefficient)
        return out

    def z(self, flat: Array, x: Array, first: Array, second: Array) -> Array:
        """The pre-activations [S, N, B, H] but for their terms in values of the step itself."""
        ones = np.ones((*x.shape[:-1], 1))
        operands = {"x": x, "first": first, "second": second, "1": ones, "sum": first + second}
        return sum(
            (
                np.einsum(
                    "nsuk,nbk->snbu", self.block(kind, flat), np.broadcast_to(a, (len(flat), *a.shape[1:]))
                )
                for kind, a in operands.items()
                if kind in self._by_kind
            ),
            np.zeros((self.slots, len(flat), x.shape[-2], self.H)),
        )

    def without_dead(self) -> "Reading":
        """The same without the arrays that change nothing, such as a classifier's output layer."""
        kept = {self.name_of(t.element)[0] for t in self.terms}
        shapes = {n: s for n, s in self.shapes.items() if n in kept}
        starts, at = {}, 0
        for name, shape in shapes.items():
            starts[name] = at
            at += int(np.prod(shape))

        def moved(e: int) -> int:
            name, index = self.name_of(e)
            return (
                starts[name] + int(np.ravel_multi_index(index, shapes[name]))
                if shapes[name]
                else starts[name]
            )

        return Reading(
            shapes,
            self.I,
            self.H,
            self.slots,
            tuple(replace(t, element=moved(t.element)) for t in self.terms),
        )

    def slots_of(self, element: int) -> frozenset[int]:
        """The slots that a single parameter feeds."""
        return frozenset(t.slot for t in self.terms if t.element == element)

    @cached_property
    def kinds(self) -> tuple[frozenset[str], ...]:
        """The kinds of operand in each slot."""
        return tuple(
            frozenset(t.operand[0] for t in self.terms if t.slot == slot) for slot in range(self.slots)
        )

    def name_of(self, element: int) -> tuple[str, tuple[int, ...]]:
        """A single parameter's name in the student's code, and its index there."""
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            if element < size:
                return name, tuple(int(n) for n in np.unravel_index(element, shape))
            element -= size
        raise IndexError(element)


def flatten(shapes: Mapping[str, tuple[int, ...]], parameters: Mapping[str, Array]) -> Array:
    """Parameters [N, …] by name → [N, P], in the order of the shapes."""
    N = max(len(a) for a in parameters.values())
    return np.concatenate(
        [np.broadcast_to(parameters[n], (N, *s)).reshape(N, -1) for n, s in shapes.items()], 1
    )


def unflatten(shapes: Mapping[str, tuple[int, ...]], flat: Array) -> dict[str, Array]:
    """[N, P] → parameters [N, …] by name."""
    out, at = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        out[name] = flat[:, at : at + size].reshape(-1, *shape)
        at += size
    return out
