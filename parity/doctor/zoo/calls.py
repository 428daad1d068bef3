"""Calls in the form of a teacher's tests, made of calls in a specimen's own form."""

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from parity.doctor.sandbox import roles
from parity.doctor.sandbox.roles import Slot

VECTORS = {"numpy_f_sees_c"}
"""Specimens that take one sample without a batch axis."""


class NotInForm(Exception):
    """A specimen cannot be called as the tests call it: why."""


@dataclass(frozen=True)
class Form:
    """How the tests call a cell.

    Attributes:
        framework: "torch", "jax" or "numpy".
        of_classes: whether the cell is a class.
        output: whether an output comes back besides the state: (h, (h, c)), of a function (carry, y).
        columns: whether a batch lies along the second axis: x [I, B].
        classes: whether parameters are asked for with a number of classes.
    """

    framework: str
    of_classes: bool
    output: bool = False
    columns: bool = False
    classes: bool = False


def loaded(path: Path) -> ModuleType:
    """A specimen's file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def step(
    own: Callable[..., Any], slots: Sequence[Slot], module: ModuleType, form: Form
) -> Callable[..., Any]:
    """A cell's step (of a class: with self) that takes x, the states and the parameters as they come.

    Args:
        own: the specimen's.
        slots: its arguments.
        module: its file.
    """
    hold = _holder(slots, module)
    turned = any(slot.name == "a_prev" for slot in slots) != form.columns

    @functools.wraps(own)
    def call(*args: Any, **named: Any) -> Any:
        self, args = (args[:1], args[1:]) if form.of_classes else ((), args)
        if len(args) == len(slots) > len(("x", "h", "c", "params")):
            return own(*args, **named)  # a weight in each argument, as it has them itself
        given = _given(args, named)
        if module.__name__ in VECTORS and given["x"].ndim == 2 and not form.columns:
            parts = [own(*self, *_own(slots, hold, _row(given, b))) for b in range(len(given["x"]))]
            result = tuple(np.stack(states) for states in zip(*parts, strict=True))
        else:
            result = own(*self, *_own(slots, hold, _turned(given) if turned else given))
        return _given_back(result, given.get("state"), turned, form)

    call.__dict__.pop("__wrapped__", None)  # else its signature would be the specimen's own
    return call


def _holder(slots: Sequence[Slot], module: ModuleType) -> Callable[[Any, Any], Any]:
    """What a specimen takes its two states in."""
    name = next((slot.name for slot in slots if slot.role == "state"), None)
    if name and f'{name}["h"]' in inspect.getsource(module):
        return lambda h, c: {"h": h, "c": c}
    kinds = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, tuple)]
    own = [kind for kind in kinds if getattr(kind, "_fields", ()) == ("h", "c")]
    return own[0] if own else lambda h, c: (h, c)


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _states(value: Any) -> tuple[Any, Any] | None:
    """h and c of what holds just these two."""
    if isinstance(value, Mapping):
        return (value["h"], value["c"]) if set(value) == {"h", "c"} else None
    if hasattr(value, "h") and hasattr(value, "c"):
        return value.h, value.c
    if isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_array, value)):
        return value[0], value[1]
    return None


def _given(args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """What the tests hand over, by role: x, h, c, params, and state where h and c come in one."""
    given = {_role(name, value): value for name, value in named.items()}
    for value in args:
        if _is_array(value):
            left = [role for role in ("x", "h", "c") if role not in given]
            role = left[0] if left else "another array"
        else:
            pair = _states(value)
            is_state = pair and "state" not in given and pair[0].shape == pair[1].shape
            role = "state" if is_state else "params"
        if role in given or value is None:
            raise NotInForm(f"a call with {value if value is None else role} besides {', '.join(given)}")
        given[role] = value
    if pair := _states(given.get("state")):
        given["h"], given["c"] = pair
    if missing := {"x", "h", "c"} - set(given):
        raise NotInForm(f"a call without {', '.join(sorted(missing))}")
    return given


def _role(name: str, value: Any) -> str:
    if _states(value):
        return "state"
    core = roles.core(name)
    for role, names in (("params", roles.PARAMETERS), ("x", roles.X), ("h", roles.H), ("c", roles.C)):
        if name in names or core in names:
            return role
    raise NotInForm(f"an argument {name}")


def _own(slots: Sequence[Slot], hold: Callable[[Any, Any], Any], given: Mapping[str, Any]) -> list[Any]:
    values = {"first": given["h"], "second": given["c"], "state": hold(given["h"], given["c"])}
    roles_of = {slot.role for slot in slots}
    if roles_of & {"params", "weight"} and "params" not in given:
        raise NotInForm("a call without parameters")
    if "weight" in roles_of:
        values |= {slot.name: given["params"][slot.name] for slot in slots if slot.role == "weight"}
    every = {**given, **values}
    return [every[slot.name if slot.role == "weight" else slot.role] for slot in slots]


def _row(given: Mapping[str, Any], b: int) -> dict[str, Any]:
    return {**given, **{role: given[role][b] for role in ("x", "h", "c")}}


def _turned(given: Mapping[str, Any]) -> dict[str, Any]:
    return {**given, **{role: given[role].T for role in ("x", "h", "c")}}


def _given_back(result: Any, state: Any, turned: bool, form: Form) -> Any:
    """The new states in what the old ones came in, and an output where the tests expect one."""
    pair, output = _states(result), None
    if pair is None:
        inner = [k for k, part in enumerate(result) if _states(part)]
        pair = _states(result[inner[0]]) if inner else (result[0], result[1])
        output = result[1 - inner[0]] if inner else None
    assert pair
    h, c = (part.T for part in pair) if turned else pair
    output = h if output is None else output
    carry = _in_kind(state, h, c)
    if not form.output:
        return carry
    return (output, carry) if form.of_classes else (carry, output)


def _in_kind(state: Any, h: Any, c: Any) -> Any:
    if isinstance(state, Mapping):
        return {"h": h, "c": c}
    if isinstance(state, list):
        return [h, c]
    return type(state)(h=h, c=c) if state is not None and hasattr(state, "h") else (h, c)


def of_params_and_x(own: Callable[..., Any]) -> Callable[..., Any]:
    """A classifier of parameters and x [B, T, I], in either order."""
    first = roles.flat((roles.arguments(own) or [])[0].name)

    def call(*args: Any, **named: Any) -> Any:
        arrays = [v for v in (*args, *named.values()) if _is_array(v)]
        others = [v for v in (*args, *named.values()) if not _is_array(v)]
        if len(arrays) != 1 or len(others) != 1:
            raise NotInForm("a classifier's call with more than parameters and x")
        both = (others[0], arrays[0])
        return own(*both) if first in roles.PARAMETERS else own(*both[::-1])

    return call
