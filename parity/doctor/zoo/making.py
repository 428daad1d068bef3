"""Making a specimen's cells and parameters as a teacher's tests make them."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from parity.doctor.sandbox import roles
from parity.doctor.sandbox.roles import Slot
from parity.doctor.zoo.calls import Form, NotInForm

_SIZES = {
    "layers": r"layer",
    "C": r"class|out|label",
    "H": r"hid|unit|^h$|ocult",
    "I": r"^(n_?)?(in|i|x|feat|ent)",
}


def subclass(kind: Any, methods: Mapping[str, Any], sizes: Sequence[str]) -> type:
    """A class with some methods replaced, made by sizes in order or by whatever names.

    Instances of the class itself pass for its instances.
    """

    class AsItself(type(kind)):  # type: ignore[misc]
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, kind)

    own = roles.of_sizes(roles.arguments(kind) or [], sizes)

    def __init__(self: Any, *args: Any, **named: Any) -> None:  # noqa: N807
        given = dict(zip(sizes, args, strict=False)) | {_size(name): v for name, v in named.items()}
        if given.get("layers") == 1 and "layers" not in {slot.role for slot in own}:
            del given["layers"]
        extra = [str(role) for role in given if role not in {slot.role for slot in own}]
        if extra or len(args) > len(sizes):
            raise NotInForm(f"its class does not take {', '.join(extra) or 'so many arguments'}")
        kind.__init__(self, **{slot.name: given[slot.role] for slot in own if slot.role in given})

    kept = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    return AsItself(kind.__name__, (kind,), {**kept, "__init__": __init__, **methods})


def _size(name: str) -> str:
    found = (role for role, pattern in _SIZES.items() if re.search(pattern, name.lower()))
    return next(found, name)


def init(own: Callable[..., Any], slots: Sequence[Slot], form: Form) -> Callable[..., Any]:
    """A function that makes parameters of (key, I, H), (seed, I, H), (rng, I, H) or (I, H), and C."""
    sizes = ("I", "H", "C") if form.classes else ("I", "H")

    def call(*args: Any, **named: Any) -> Any:
        named = {_size(name): value for name, value in named.items()}
        numbers = [v for v in args if isinstance(v, int)]
        chance = [v for v in (*args, *named.values()) if not isinstance(v, int)]
        left = [role for role in sizes if role not in named]
        chance += numbers[: max(0, len(numbers) - len(left))]
        given = {"C": 3, **dict(zip(left, numbers[-len(left) :], strict=False)), **named}
        source = chance[0] if chance else named.get("seed", named.get("key", 0))
        values = {slot.name: _chance(source, slot, form) for slot in slots if slot.role not in given}
        return own(**{slot.name: given[slot.role] for slot in slots if slot.role in given} | values)

    return call


def _chance(source: Any, slot: Slot, form: Form) -> Any:
    """A key, generator or seed for a specimen, of whichever the tests hand over."""
    if slot.role not in ("key", "rng", "seed"):
        raise NotInForm(f"parameters made with {slot.name}")
    if slot.role == "seed":
        return _seed(source)
    if form.framework == "numpy":
        is_generator = isinstance(source, np.random.Generator | np.random.RandomState)
        return source if is_generator else np.random.default_rng(_seed(source))
    import jax

    return source if isinstance(source, jax.Array) else jax.random.PRNGKey(_seed(source))


def _seed(source: Any) -> int:
    if isinstance(source, int):
        return source
    if isinstance(source, np.random.Generator):
        return int(source.integers(2**31))
    if isinstance(source, np.random.RandomState):
        return int(source.randint(2**31 - 1))
    import jax

    return int(jax.random.randint(source, (), 0, 2**31 - 1))
