"""How a cell is called: where x and the states go, what holds the states, what of the result they are."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from parity.doctor.sandbox import roles
from parity.doctor.sandbox.backends import AnyArray, Backend
from parity.doctor.sandbox.errors import Failed
from parity.doctor.sandbox.roles import Slot
from parity.doctor.sandbox.source import Tree

Path = tuple[str | int, ...]
LAYOUTS = ("rows", "columns", "vectors")
"""x as [B, I], as [I, B], or as [I] one by one."""


@dataclass(frozen=True)
class Holder:
    """What the two states are put into for a cell that takes them as one.

    Attributes:
        make: of the two.
        keys: by which they are in it.
    """

    make: Callable[[Any, Any], Any]
    keys: tuple[str, str] | tuple[int, int] = (0, 1)


@dataclass(frozen=True)
class Form:
    """How a cell is called.

    Attributes:
        slots: its arguments, in order.
        layout: one of `LAYOUTS`.
        holder: of the states, where it takes them as one.
        picked: where in the result they are; None until a call has shown it.
    """

    slots: tuple[Slot, ...]
    layout: str = "rows"
    holder: Holder | None = None
    picked: tuple[Path, Path] | None = None

    def arguments(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments of a call.

        Args:
            values: role → value ("x", "first", "second"); others by name or role.
        """
        if self.holder and "first" in values:
            values = {**values, "state": self.holder.make(values["first"], values["second"])}
        found = [
            (slot, values[slot.name] if slot.role == "weight" else values[slot.role]) for slot in self.slots
        ]
        return [v for slot, v in found if not slot.keyword], {s.name: v for s, v in found if s.keyword}

    def pieces(self, value: AnyArray) -> list[AnyArray]:
        """An input [B, …] as the calls want it: one array, or B of them."""
        if self.layout == "vectors":
            return list(value)
        return [np.ascontiguousarray(value.T) if self.layout == "columns" else value]

    def joined(self, parts: Sequence[AnyArray]) -> AnyArray:
        """The pieces of a result as [B, H]."""
        if self.layout == "vectors":
            return np.stack(parts)
        return parts[0].T if self.layout == "columns" else parts[0]


def holders(module: Any, keys: Sequence[str]) -> Iterator[Holder]:
    """What may hold the states: a tuple, the file's own types of two fields, a dictionary, a list.

    Args:
        keys: by which the code reads the state.
    """
    records = [kind for kind in vars(module).values() if isinstance(kind, type) and _fields(kind)]
    for kind in records:
        first, second = _fields(kind) or ("", "")
        wanted = not keys or set(keys) & {first, second}
        if wanted:
            yield Holder(kind, (first, second))
    named = sorted((key for key in keys if not key.isdigit()), key=roles.is_c)  # keys have no order: h first
    if len(named) == 2:
        yield _dictionary(named[0], named[1])
    yield Holder(lambda a, b: (a, b))
    yield Holder(lambda a, b: [a, b])
    if len(named) != 2:
        yield _dictionary("h", "c")


def _dictionary(first: str, second: str) -> Holder:
    return Holder(lambda a, b: {first: a, second: b}, (first, second))


def _fields(kind: type) -> tuple[str, str] | None:
    names = getattr(kind, "_fields", None) if issubclass(kind, tuple) else None
    if names is None and dataclasses.is_dataclass(kind):
        names = tuple(f.name for f in dataclasses.fields(kind))
    return (names[0], names[1]) if names is not None and len(names) == 2 else None


def pick(
    result: Any, names: Tree | None, shape: tuple[int, ...], backend: Backend
) -> tuple[Path, Path] | None:
    """Where in a result the two states are; None where there are not two arrays of their shape.

    Args:
        names: of the return statement.
        shape: of a state.
    """
    inside = [(key, child) for key, child in _children(result, backend)]
    arrays = [key for key, child in inside if backend.is_array(child) and tuple(child.shape) == shape]
    if len(arrays) == 2:
        return (arrays[0],), (arrays[1],)
    if len(arrays) > 2:
        return _of_many(arrays, dict(inside), names, backend)
    for number, (key, child) in enumerate(inside):
        deeper = names[number] if isinstance(names, tuple) and number < len(names) else None
        if not backend.is_array(child) and (found := pick(child, deeper, shape, backend)):
            return (key, *found[0]), (key, *found[1])
    if backend.is_array(result) and tuple(result.shape) == (2, *shape):
        return (0,), (1,)
    return None


def in_order(picked: tuple[Path, Path] | None, holder: Holder | None) -> tuple[Path, Path] | None:
    """The same, in the order of the holder where keys and not places tell the states apart."""
    if (
        picked
        and holder
        and (picked[1][-1], picked[0][-1]) == holder.keys
        and isinstance(holder.keys[0], str)
    ):
        return picked[1], picked[0]
    return picked


def _of_many(
    arrays: list[str | int], inside: Mapping[str | int, Any], names: Tree | None, backend: Backend
) -> tuple[Path, Path]:
    def name(key: str | int) -> str:
        known = names[key] if isinstance(key, int) and isinstance(names, tuple) and key < len(names) else key
        return str(known)

    h = [key for key in arrays if roles.is_h(name(key))]
    c = [key for key in arrays if roles.is_c(name(key))]
    if len(h) == 1 and len(c) == 1:
        pair = sorted([h[0], c[0]], key=arrays.index)
        return (pair[0],), (pair[1],)
    start = (
        1 if _same(inside[arrays[0]], inside[arrays[1]], backend) else 0
    )  # (output, (h, c)) without brackets
    return (arrays[start],), (arrays[start + 1],)


def _same(one: Any, other: Any, backend: Backend) -> bool:
    try:
        return one is other or np.array_equal(backend.numpy(one), backend.numpy(other))
    except Exception:  # of JAX, what is only traced has no values
        return False


def _children(value: Any, backend: Backend) -> list[tuple[str | int, Any]]:
    if backend.is_array(value) or isinstance(value, str | bytes):
        return []
    if isinstance(value, Mapping):
        return [(key, child) for key, child in islice(value.items(), 16) if isinstance(key, str | int)]
    if isinstance(value, tuple | list):
        return list(enumerate(value[:16]))
    if dataclasses.is_dataclass(value):
        return [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    return []


def follow(result: Any, path: Path) -> Any:
    """What lies at a path in a result.

    Raises:
        LookupError, TypeError, AttributeError: nothing does.
    """
    for key in path:
        if isinstance(key, str) and not isinstance(result, Mapping):
            result = getattr(result, key)
        else:
            result = result[key]
    return result


def states(
    result: Any, form: Form, names: Tree | None, shape: tuple[int, ...], backend: Backend
) -> tuple[Any, Any]:
    """The two states in a result.

    Raises:
        Failed: there are not two arrays of a state's shape.
    """
    picked = form.picked or pick(result, names, shape, backend)
    try:
        if picked:
            pair = follow(result, picked[0]), follow(result, picked[1])
            if all(backend.is_array(a) and tuple(a.shape) == shape for a in pair):
                return pair
    except (LookupError, TypeError, AttributeError):
        pass
    kind = {"rows": "[B, H]", "columns": "[H, B]", "vectors": "[H]"}[form.layout]
    what = f"two arrays {kind} = {list(shape)}, the new h and c"
    came = described(result, backend)
    advice = ": is a `return h, c` missing?" if result is None else ""
    raise Failed(f"it must return {what}; what came is {came}{advice}")


def beside(result: Any, form: Form, shape: tuple[int, ...], backend: Backend) -> Any:
    """What is handed out as output, as in (output, (h, c)) and a scan's (carry, output); None: nothing."""
    if form.layout == "vectors" or not form.picked or {len(path) for path in form.picked} != {2}:
        return None
    if form.picked[0][0] == 0 and backend.name != "jax":
        return None
    others = [child for key, child in _children(result, backend) if key != form.picked[0][0]]
    arrays = [a for a in others if backend.is_array(a) and tuple(a.shape) == shape]
    return arrays[0] if len(others) == len(arrays) == 1 else None


def described(result: Any, backend: Backend, depth: int = 0) -> str:
    """A result in words: types and shapes."""
    if backend.is_array(result):
        return f"an array {list(result.shape)}"
    children = _children(result, backend)
    if children and depth < 3:
        return (
            f"a {type(result).__name__} of {', '.join(described(c, backend, depth + 1) for _, c in children)}"
        )
    return "None" if result is None else f"a {type(result).__name__}"
