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
    key = (form, tuple((name, value.shape) for name, value in given.items()))
    if key not in instance.quick:
        instance.quick[key] = _checked(instance, form, names, given)
    return instance.quick[key]


def _checked(
    instance: ArrayInstance, form: Form, names: Tree | None, given: Mapping[str, AnyArray]
) -> Quick | None:
    import jax

    def call(values: Mapping[str, Any]) -> tuple[Any, Any]:
        shape = tuple(values["first"].shape)
        return calling.states(instance.call(form, values), form, names, shape, instance.backend)

    before = _globals(instance)
    expected = call({name: instance.backend.array(value) for name, value in given.items()})
    if _globals(instance) != before:  # it remembers, and must not remember a tracer
        return None
    function = jax.jit(instance.pure(call))

    def quick(values: Mapping[str, AnyArray]) -> tuple[Any, Any]:
        first, second = function(instance.arrays, dict(values))
        return first, second

    try:
        got = quick(given)
    except Exception:
        return None
    return quick if all(map(_close, got, expected)) else None


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
