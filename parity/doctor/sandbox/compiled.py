"""A JAX function compiled, where that makes no difference to what it returns."""

import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from parity.doctor.sandbox import calling
from parity.doctor.sandbox.array_models import ArrayInstance
from parity.doctor.sandbox.backends import AnyArray
from parity.doctor.sandbox.calling import Form
from parity.doctor.sandbox.instance import Instance
from parity.doctor.sandbox.source import Tree

Quick = Callable[[Mapping[str, AnyArray]], tuple[Any, Any]]
"""Inputs by role → the two states, with the instance's parameters."""

_PROVED: set[tuple[int, Form]] = set()
"""Functions, and how they are called, that have been compared compiled and not, at some sizes."""

CLOSE = {"float64": 1e-9, "float32": 1e-4}
"""By how much the compiled function may differ, of the largest value."""


def compiled(
    instance: Instance, form: Form, names: Tree | None, given: Mapping[str, AnyArray]
) -> Quick | None:
    """The compiled call; None where it is no JAX, cannot be compiled, or depends on more than its inputs.

    Args:
        given: inputs of one call, with which both are compared.
    """
    if instance.backend.name != "jax" or not isinstance(instance, ArrayInstance):
        return None
    if form not in instance.quick:
        instance.quick[form] = _checked(instance, form, names, given)
    return instance.quick[form]


def is_compiled(instance: Instance, form: Form) -> bool:
    """Whether the call has been compiled before, so that one more takes no time."""
    return isinstance(instance, ArrayInstance) and instance.quick.get(form) is not None


def whole(instance: Instance, form: Form, call: Callable[..., Any]) -> Callable[..., Any]:
    """A JAX classifier compiled: each of its own scans would be compiled anew in every call of it."""
    if instance.backend.name != "jax" or not isinstance(instance, ArrayInstance):
        return call
    import jax

    if form not in instance.quick:
        instance.quick[form] = jax.jit(instance.pure(call))
    function, arrays = instance.quick[form], instance.arrays
    return lambda values: function(arrays, values)


def _checked(
    instance: ArrayInstance, form: Form, names: Tree | None, given: Mapping[str, AnyArray]
) -> Quick | None:
    import jax

    def call(values: Mapping[str, Any]) -> tuple[Any, Any]:
        shape = tuple(values["first"].shape)
        return calling.states(instance.call(form, values), form, names, shape, instance.backend)

    proved = (id(instance.code()), form)
    if proved not in _PROVED:
        before = _globals(instance)
        expected = call({name: instance.backend.array(value) for name, value in given.items()})
        if _globals(instance) != before:  # it remembers, and must not remember a tracer
            return None
    function = jax.jit(instance.pure(call))

    def quick(values: Mapping[str, AnyArray]) -> tuple[Any, Any]:
        first, second = function(instance.arrays, dict(values))
        return first, second

    if proved in _PROVED:
        return quick
    try:
        got = quick(given)
    except Exception:
        return None
    if not all(map(_close, got, expected)):
        return None
    _PROVED.add(proved)
    return quick


def _close(got: Any, expected: Any) -> bool:
    a, b = np.asarray(got), np.asarray(expected)
    bound = CLOSE.get(str(b.dtype), 1e-2) * max(1.0, float(np.max(np.abs(b), initial=0.0)))
    return a.dtype == b.dtype and bool(np.allclose(a, b, rtol=0, atol=bound, equal_nan=True))


def _globals(instance: ArrayInstance) -> list[Any]:
    """What the function's file holds now, as far as it shows a change."""
    held = getattr(instance.code(), "__globals__", {})
    found: list[Any] = []
    for name, value in held.items():
        if isinstance(value, list | dict | set):
            found.append(
                (name, id(value), [id(v) for v in (value.values() if isinstance(value, dict) else value)])
            )
        elif isinstance(value, types.FunctionType):
            found.append((name, id(value), [id(v) for v in vars(value).values()]))
        else:
            found.append((name, id(value)))
    return found
