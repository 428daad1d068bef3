"""Parameters in containers: dictionaries, tuples, lists, records, objects, one within another."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

IsLeaf = Callable[[Any], bool]
DEEPEST = 8


def children(value: Any) -> list[tuple[str, Any]]:
    """What a container holds, by name; nothing for what is none."""
    if isinstance(value, Mapping):
        return [(str(key), child) for key, child in value.items()]
    if isinstance(value, tuple) and (fields := getattr(value, "_fields", None)):
        return list(zip(fields, value, strict=True))
    if isinstance(value, tuple | list):
        return [(str(n), child) for n, child in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value) if hasattr(value, f.name)]
    if type(value).__name__ == "SimpleNamespace":
        return list(vars(value).items())
    return []


def leaves(value: Any, is_leaf: IsLeaf, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The arrays in a container, by the path to them, "gates.0.W"; "" is that of an array by itself."""
    if is_leaf(value):
        yield prefix, value
    elif depth < DEEPEST:
        for name, child in children(value):
            yield from leaves(child, is_leaf, f"{prefix}.{name}" if prefix else name, depth + 1)


def rebuilt(value: Any, values: Mapping[str, Any], is_leaf: IsLeaf, prefix: str = "") -> Any:
    """The same container with other arrays; those not given stay."""
    if is_leaf(value):
        return values.get(prefix, value)
    parts = {n: rebuilt(c, values, is_leaf, f"{prefix}.{n}" if prefix else n) for n, c in children(value)}
    return _like(value, parts) if parts else value


def containers(value: Any, is_leaf: IsLeaf, depth: int = 2) -> Iterator[Any]:
    """A container, those within it that hold arrays, and the arrays, the outermost first."""
    if not any(True for _ in leaves(value, is_leaf)):
        return
    yield value
    if depth and not is_leaf(value):
        for _, child in children(value):
            yield from containers(child, is_leaf, depth - 1)


def _like(value: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        plain = {key: parts[str(key)] for key in value}
        return plain if type(value) is dict else _mapping(type(value), plain)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*parts.values())
    if isinstance(value, tuple | list):
        return type(value)(parts.values())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **parts)
    return type(value)(**parts)


def _mapping(kind: type, plain: dict[Any, Any]) -> Any:
    try:
        return kind(plain)
    except Exception:  # a defaultdict, or the like
        return plain
