"""Many calls of a cell or a classifier."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity.doctor.sandbox import calling
from parity.doctor.sandbox.backends import AnyArray, Backend
from parity.doctor.sandbox.calling import Form
from parity.doctor.sandbox.compiled import compiled, is_compiled, whole
from parity.doctor.sandbox.errors import Failed
from parity.doctor.sandbox.instance import Instance
from parity.doctor.sandbox.source import Tree
from parity.doctor.sandbox.wire import Array

INPUTS = ("x", "first", "second")
WEIGHTS = ("weight_first", "weight_second")

EAGER = 4
"""Calls up to which compiling takes longer than it saves."""


@dataclass
class Result:
    """What calls returned, and what they changed in place."""

    outputs: list[tuple[Array, ...]] = field(default_factory=list)
    beside: list[Array] = field(default_factory=list)
    dtypes: tuple[str, ...] = ()
    changed: dict[str, None] = field(default_factory=dict)


def nth(arrays: Mapping[str, AnyArray], n: int) -> dict[str, AnyArray]:
    """The n-th of each array; the only one of those that all calls share."""
    return {name: value[n if len(value) > 1 else 0] for name, value in arrays.items()}


def cells(
    make: Callable[[], Instance],
    form: Form,
    names: Tree | None,
    parameters: Mapping[str, AnyArray],
    inputs: Mapping[str, AnyArray],
    *,
    fresh: bool,
    training: bool = True,
) -> Result:
    """N calls of a cell.

    Args:
        make: gives the instance to call; asked before each call where that is to be fresh.
        names: of its return statement.
        parameters: name → [N or 1, *shape], in the dtype to use.
        inputs: x [N or 1, B, I], first and second [N or 1, B, H].
        fresh: whether each call is one of a new instance.
        training: whether a module is to be in training mode.

    Raises:
        Failed: a call did not return two states.
    """

    many = not fresh and max(len(value) for value in (*parameters.values(), *inputs.values())) > EAGER

    def once(instance: Instance, given: Mapping[str, AnyArray], result: Result) -> None:
        _into_mode(instance, training=training)
        each = zip(*(form.pieces(given[name]) for name in INPUTS), strict=True)
        pairs = [
            _cell(instance, form, names, dict(zip(INPUTS, pieces, strict=True)), result, many=many)
            for pieces in each
        ]
        result.outputs.append((form.joined([a for a, _ in pairs]), form.joined([b for _, b in pairs])))

    return _all(make, parameters, inputs, once, fresh=fresh)


def classifiers(
    make: Callable[[], Instance],
    form: Form,
    parameters: Mapping[str, AnyArray],
    x: AnyArray,
    classes: int,
    *,
    fresh: bool,
) -> Result:
    """N calls of a classifier: x [N or 1, B, T, I] to logits [B, C], as `cells`."""

    many = not fresh and max(len(value) for value in (*parameters.values(), x)) > 1

    def once(instance: Instance, given: Mapping[str, AnyArray], result: Result) -> None:
        _into_mode(instance, training=False)  # it may have dropout, and is compared without

        def call(values: Mapping[str, Any]) -> Any:
            shape = (values["x"].shape[0], classes)
            return logits_in(instance.call(form, values), shape, instance.backend)

        with _quiet(instance.backend):
            logits = (whole(instance, form, call) if many else call)(
                {"x": instance.backend.array(given["x"])}
            )
            result.dtypes = (instance.backend.dtype(logits),)
            result.outputs.append((instance.backend.numpy(logits),))

    return _all(make, parameters, {"x": x}, once, fresh=fresh)


def logits_in(returned: Any, shape: tuple[int, int], backend: Backend) -> Any:
    """The logits [B, C] in what a classifier returned: alone, or first of several.

    Raises:
        Failed: they are not there.
    """
    first = returned[0] if isinstance(returned, tuple | list) and returned else returned
    if backend.is_array(first) and tuple(first.shape) == shape:
        return first
    came = calling.described(returned, backend)
    raise Failed(f"it must return logits [B, C] = {list(shape)}; what came is {came}")


def _all(
    make: Callable[[], Instance],
    parameters: Mapping[str, AnyArray],
    inputs: Mapping[str, AnyArray],
    once: Callable[[Instance, Mapping[str, AnyArray], Result], None],
    *,
    fresh: bool,
) -> Result:
    count = max(len(value) for value in (*parameters.values(), *inputs.values()))
    shared = all(len(value) == 1 for value in parameters.values())
    result, dirty = Result(), True
    instance = make()
    for n in range(count):
        if fresh and n:
            instance = make()
        given = nth(parameters, n)
        if fresh or dirty or not shared:
            instance.assign(given)
        once(instance, nth(inputs, n), result)
        changed = _changed(instance, given)
        result.changed |= dict.fromkeys(changed)
        dirty = bool(changed)
    return result


def _cell(
    instance: Instance,
    form: Form,
    names: Tree | None,
    pieces: Mapping[str, AnyArray],
    result: Result,
    *,
    many: bool,
) -> tuple[Array, Array]:
    backend = instance.backend
    if (many or is_compiled(instance, form)) and (quick := compiled(instance, form, names, pieces)):
        a, b = quick(pieces)
        result.dtypes = (backend.dtype(a), backend.dtype(b))
        return backend.numpy(a), backend.numpy(b)
    given = {name: backend.array(value) for name, value in pieces.items()}
    with _quiet(backend):
        returned = instance.call(form, given)
    shape = pieces["first"].shape
    a, b = calling.states(returned, form, names, shape, backend)
    result.dtypes = (backend.dtype(a), backend.dtype(b))
    if (other := calling.beside(returned, form, shape, backend)) is not None:
        result.beside.append(form.joined([backend.numpy(other)]))
    for name, value in pieces.items():
        if backend.name != "jax" and not np.array_equal(
            backend.numpy(given[name]), value.astype(np.float64), equal_nan=True
        ):
            result.changed[name] = None
    return backend.numpy(a), backend.numpy(b)


def _changed(instance: Instance, given: Mapping[str, AnyArray]) -> Sequence[str]:
    if instance.backend.name == "jax":  # whose arrays cannot be changed
        return []
    now = instance.values()
    return [n for n, v in given.items() if not np.array_equal(now[n], v.astype(np.float64), equal_nan=True)]


def _quiet(backend: Backend) -> AbstractContextManager[Any]:
    """Without a record for gradients, which costs time."""
    if backend.name == "torch":
        import torch

        return torch.no_grad()
    return nullcontext()


def _into_mode(instance: Instance, *, training: bool) -> None:
    module = getattr(instance, "module", None)
    if instance.backend.name == "torch" and module and module.training != training:
        module.train(training)


def cell_gradients(
    instance: Instance,
    form: Form,
    names: Tree | None,
    inputs: Mapping[str, AnyArray],
    weights: tuple[AnyArray, AnyArray],
) -> dict[str, Array | None] | None:
    """Gradients of the weighted sum of a cell's outputs, by parameter ("p:name") and input; one call."""
    _into_mode(instance, training=True)
    pieces = {name: form.pieces(inputs[name]) for name in INPUTS}
    pieces |= dict(zip(WEIGHTS, map(form.pieces, weights), strict=True))

    def total(given: Mapping[str, list[Any]]) -> Any:
        summed: Any = 0.0
        for x, h, c, first, second in zip(*(given[name] for name in (*INPUTS, *WEIGHTS)), strict=True):
            returned = instance.call(form, dict(zip(INPUTS, (x, h, c), strict=True)))
            a, b = calling.states(returned, form, names, tuple(first.shape), instance.backend)
            summed = summed + (first * a).sum() + (second * b).sum()
        return summed

    found = instance.gradients(total, pieces)
    return None if found is None else _numpy(found, form, instance.backend)


def classifier_gradients(
    instance: Instance, form: Form, x: AnyArray, weight: AnyArray
) -> dict[str, Array | None] | None:
    """Gradients of the weighted sum of the logits, by parameter ("p:name") and "x"; one call."""
    shape = (weight.shape[0], weight.shape[1])
    _into_mode(instance, training=False)

    def total(given: Mapping[str, list[Any]]) -> Any:
        returned = instance.call(form, {"x": given["x"][0]})
        return (given["weight"][0] * logits_in(returned, shape, instance.backend)).sum()

    found = instance.gradients(total, {"x": [x], "weight": [weight]})
    return None if found is None else _numpy(found, form, instance.backend)


def _numpy(found: Mapping[str, Any], form: Form, backend: Backend) -> dict[str, Array | None]:
    def one(name: str, value: Any) -> Array | None:
        if value is None:
            return None
        if name.startswith("p:"):
            return backend.numpy(value[0])
        return np.ascontiguousarray(form.joined([backend.numpy(piece) for piece in value]))

    return {name: one(name, value) for name, value in found.items() if not name.startswith("weight")}
