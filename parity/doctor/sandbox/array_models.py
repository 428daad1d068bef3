"""Functions that are given their parameters, and plain classes that hold arrays."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from parity.doctor.sandbox import roles, trees
from parity.doctor.sandbox.backends import AnyArray, Backend
from parity.doctor.sandbox.calling import Form
from parity.doctor.sandbox.errors import Failed
from parity.doctor.sandbox.instance import Total, seed_all
from parity.doctor.sandbox.makers import Maker
from parity.doctor.sandbox.roles import Slot
from parity.doctor.sandbox.sizes import Sizes, called, size_slots
from parity.doctor.sandbox.wire import Array


class FunctionModel:
    """A function of parameters, x and states."""

    def __init__(self, function: Callable[..., Any], slots: Sequence[Slot], backend: Backend) -> None:
        self.function, self.backend = function, backend
        self.weights = tuple(slot.name for slot in slots if slot.role == "weight")
        self.argument = next((slot.name for slot in slots if slot.role == "params"), "")
        self.maker: Maker | None = None

    def build(self, sizes: Sizes, dtype: str) -> "FunctionInstance":
        """The function with fresh parameters.

        Raises:
            Failed: no parameters are known.
        """
        if self.maker is None:
            raise Failed("the shapes of its parameters are not known")
        with self.backend.scope(dtype):
            return FunctionInstance(self, self.maker.make(sizes), drawn=self.maker.drawn)


class ArrayInstance:
    """What functions and objects have in common: arrays by name, and gradients by them."""

    backend: Backend
    unregistered: frozenset[str] = frozenset()
    arrays: dict[str, Any]
    drawn = True

    def __init__(self) -> None:
        self.quick: dict[Any, Any] = {}
        self._totals: dict[Any, Callable[..., Any]] = {}

    def code(self) -> Any:
        """The Python function that a call runs."""
        raise NotImplementedError

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(array.shape) for name, array in self.arrays.items()}

    def values(self) -> dict[str, Array]:
        return {name: self.backend.numpy(array) for name, array in self.arrays.items()}

    def assign(self, values: Mapping[str, AnyArray]) -> None:
        self.put({name: self.backend.array(value) for name, value in values.items()})

    def put(self, arrays: Mapping[str, Any]) -> None:
        """Take arrays of the framework as they are."""
        self.arrays = self.arrays | dict(arrays)

    def call(self, form: Form, values: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def pure(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of a call made one of (parameters, its arguments)."""

        def of_parameters(arrays: Mapping[str, Any], *given: Any) -> Any:
            kept = self.arrays
            self.put(arrays)
            try:
                return function(*given)
            finally:
                self.put(kept)

        return of_parameters

    def gradients(self, total: Total, inputs: Mapping[str, list[AnyArray]]) -> dict[str, Any] | None:
        kept = self.arrays
        values = {name: [self.backend.array(v) for v in pieces] for name, pieces in inputs.items()}
        values |= {f"p:{name}": [self.backend.array(np.asarray(array))] for name, array in kept.items()}

        def function(given: Mapping[str, list[Any]]) -> Any:
            self.put({name: given[f"p:{name}"][0] for name in kept})
            return total(given)

        # of the same inputs it is the same function, which JAX need not compile anew
        function = self._totals.setdefault(tuple((n, v[0].shape) for n, v in values.items()), function)
        try:
            return self.backend.gradients(function, values)
        finally:
            self.put(kept)


class FunctionInstance(ArrayInstance):
    """A function and its parameters."""

    def __init__(self, model: FunctionModel, tree: Any, *, drawn: bool) -> None:
        super().__init__()
        self.function, self.backend, self.drawn = model.function, model.backend, drawn
        self.tree, self._argument = tree, model.argument
        self.arrays = self.named(tree)

    def assign(self, values: Mapping[str, AnyArray]) -> None:
        if self.backend.name == "jax":  # a compiled function takes them faster as they are
            self.put(values)
        else:
            super().assign(values)

    def code(self) -> Any:
        return inspect.unwrap(self.function)

    def given(self) -> Any:
        """The parameters as the function takes them."""
        arrays = self.arrays
        if self.backend.name == "jax":
            loose = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}
            arrays = arrays | {name: self.backend.array(array) for name, array in loose.items()}
        single = self._is_weight(self.tree)
        return arrays[self._argument] if single else trees.rebuilt(self.tree, arrays, self._is_weight)

    def named(self, tree: Any) -> dict[str, Any]:
        """Parameters of the function, by name."""
        return {name or self._argument: array for name, array in trees.leaves(tree, self._is_weight)}

    def call(self, form: Form, values: Mapping[str, Any]) -> Any:
        tree = self.given()
        weights = tree if any(slot.role == "weight" for slot in form.slots) else {"params": tree}
        given, named = form.arguments({**values, **weights})
        return self.function(*given, **named)

    def _is_weight(self, value: Any) -> bool:
        return _is_weight(self.backend, value)


class ObjectModel:
    """A plain class that holds arrays in its attributes."""

    def __init__(
        self, kind: type, method: str, order: tuple[str, ...], backend: Backend, module: ModuleType
    ) -> None:
        self.kind, self.method, self.order, self.backend, self._file = (
            kind,
            method,
            order,
            backend,
            module.__name__,
        )

    def build(self, sizes: Sizes, dtype: str) -> "ObjectInstance":
        """A fresh instance.

        Raises:
            Failed: its constructor takes other arguments than sizes.
        """
        slots = size_slots(self.kind, self.order, name=self.kind.__name__)
        seed_all(self.backend, sizes.seed)
        with self.backend.scope(dtype):
            value = called(self.kind, slots, sizes, self.backend.key)
            return ObjectInstance(value, self.method, self.backend, self._file, dtype)


class ObjectInstance(ArrayInstance):
    """An object and the arrays that it holds."""

    def __init__(self, value: Any, method: str, backend: Backend, file: str, dtype: str) -> None:
        super().__init__()
        self.value, self.method, self.backend, self._file = value, method, backend, file
        self.arrays = _without_views(dict(self._held(value, "", set(), 0)))
        if any(backend.dtype(array) != dtype for array in self.arrays.values()):
            self.put({n: backend.array(np.asarray(a).astype(dtype)) for n, a in self.arrays.items()})

    def assign(self, values: Mapping[str, AnyArray]) -> None:
        if self.backend.name == "numpy":  # in place, so that views of it are set as well
            for name, value in values.items():
                self.arrays[name][...] = value
        else:
            super().assign(values)

    def put(self, arrays: Mapping[str, Any]) -> None:
        super().put(arrays)
        for name, array in arrays.items():
            self._set(self.value, name.split("."), array)

    def call(self, form: Form, values: Mapping[str, Any]) -> Any:
        given, named = form.arguments(values)
        return getattr(self.value, self.method)(*given, **named)

    def code(self) -> Any:
        return getattr(type(self.value), self.method)

    def _held(self, value: Any, prefix: str, seen: set[int], depth: int) -> list[tuple[str, Any]]:
        if id(value) in seen or depth > trees.DEEPEST:
            return []
        seen.add(id(value))
        if _is_weight(self.backend, value):
            return [] if depth == 1 and _is_state(prefix) else [(prefix, value)]
        parts = self._parts(value)
        names = [(f"{prefix}.{name}" if prefix else name, child) for name, child in parts]
        return [leaf for name, child in names for leaf in self._held(child, name, seen, depth + 1)]

    def _parts(self, value: Any) -> list[tuple[str, Any]]:
        if parts := trees.children(value):
            return parts
        own = type(value).__module__ == self._file or type(value).__module__.startswith("equinox")
        return list(vars(value).items()) if own and hasattr(value, "__dict__") else []

    def _set(self, value: Any, path: Sequence[str], array: Any) -> Any:
        """Put an array at a path; what takes the value's place, itself where it can be changed."""
        if not path:
            return array
        child = dict(self._parts(value)).get(path[0])
        new = self._set(child, path[1:], array)
        if isinstance(value, tuple):
            return trees.rebuilt(value, {path[0]: new}, lambda part: part is child)
        if isinstance(value, dict):
            value[next(key for key in value if str(key) == path[0])] = new
        elif isinstance(value, list):
            value[int(path[0])] = new
        else:
            object.__setattr__(value, path[0], new)
        return value


def _is_weight(backend: Backend, value: Any) -> bool:
    return backend.is_array(value) and "float" in backend.dtype(value)


def _is_state(name: str) -> bool:
    return roles.is_h(name) or roles.is_c(name) or roles.core(name) in roles.STATE | roles.X


def _without_views(arrays: dict[str, Any]) -> dict[str, Any]:
    """Without those that are parts of others: `self.W_f = self.W[:H]`."""

    def is_part(one: Any, other: Any) -> bool:
        both = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
        return both and other.size > one.size and np.may_share_memory(one, other)

    return {n: a for n, a in arrays.items() if not any(is_part(a, other) for other in arrays.values())}
