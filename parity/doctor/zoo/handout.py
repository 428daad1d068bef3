"""A specimen under the names, and called in the way, that a teacher's tests expect.

Only the way of calling is changed: what is handed over and what comes back are the same arrays, so that no
fault is mended and none is hidden. This runs where the tests run.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from parity.doctor.sandbox import roles
from parity.doctor.sandbox.roles import Slot
from parity.doctor.zoo import calls, making
from parity.doctor.zoo.calls import Form, NotInForm
from parity.doctor.zoo.parameters import maker

_METHODS = ("forward", "__call__", "step")
_TRAINS = re.compile(r"train|update|fit")
_MAKES = re.compile(r"init|make|create|crear")


@dataclass
class Parts:
    """What is in a specimen's file.

    Attributes:
        cell: class or function.
        slots: arguments of its call.
        method: of the class, that runs one step.
        classifier: class or function.
        reads: the classifier's method.
        training: function.
        init: function that makes parameters.
        sizes: arguments of `init`.
    """

    cell: Any = None
    slots: tuple[Slot, ...] = ()
    method: str = ""
    classifier: Any = None
    reads: str = ""
    training: Any = None
    init: Any = None
    sizes: tuple[Slot, ...] = ()


def provide(file: str, names: Mapping[str, str], form: Form) -> dict[str, Any]:
    """The names that the tests take from the student's module.

    Args:
        file: path of a specimen.
        names: name → role.

    Raises:
        NotInForm: the specimen does not have one of them.
    """
    module = calls.loaded(Path(file))
    parts = parts_of(module)
    return {name: _one(name, role, module, parts, form) for name, role in names.items()}


def parts_of(module: ModuleType) -> Parts:
    """What is in a file; of several cells the last, which is built on those before."""
    parts = Parts()
    for name, value in vars(module).items():
        if isinstance(value, type) and value.__module__ == module.__name__:
            _see_class(parts, value)
        elif callable(value) and getattr(inspect.unwrap(value), "__module__", "") == module.__name__:
            _see_function(parts, name, value)
    if parts.classifier and not isinstance(parts.classifier, type) and len(_sized(parts)) < 3:
        parts.classifier = None  # it has no output layer
    return parts


def _sized(parts: Parts) -> list[Slot]:
    return [slot for slot in parts.sizes if slot.role in ("I", "H", "C")]


def _see_class(parts: Parts, kind: type) -> None:
    needed = len(roles.required(roles.arguments(kind) or []))
    for method in _METHODS:
        if method not in vars(kind) or issubclass(kind, tuple):
            continue
        arguments = (roles.arguments(getattr(kind, method)) or [])[1:]
        if needed == 2 and (slots := roles.of_cell(arguments, holds_weights=True)):
            parts.cell, parts.slots, parts.method = kind, slots, method
        elif needed == 3 and roles.of_classifier(arguments, holds_weights=True):
            parts.classifier, parts.reads = kind, method
        else:
            continue
        return


def _see_function(parts: Parts, name: str, function: Callable[..., Any]) -> None:
    arguments = roles.arguments(function) or []
    if _TRAINS.search(name):
        parts.training = function
    elif _MAKES.search(name):
        parts.init, parts.sizes = function, roles.of_sizes(arguments, ("I", "H", "C"))
    elif slots := roles.of_cell(arguments, holds_weights=False):
        parts.cell, parts.slots = function, slots
    elif roles.of_classifier(arguments, holds_weights=False):
        parts.classifier = function


def _one(name: str, role: str, module: ModuleType, parts: Parts, form: Form) -> Any:
    adapters = {"cell": _cell, "classifier": _classifier, "training": _training, "init": _init}
    if role in adapters:
        return adapters[role](module, parts, form)
    if name in vars(module):
        return vars(module)[name]
    raise NotInForm(f"it has no {name}")


def _cell(module: ModuleType, parts: Parts, form: Form) -> Any:
    if parts.cell is None or isinstance(parts.cell, type) != form.of_classes:
        raise NotInForm(f"it has no cell that is a {'class' if form.of_classes else 'function'}")
    if form.of_classes:
        call = calls.step(getattr(parts.cell, parts.method), parts.slots, module, form)
        methods = ("forward",) if form.framework == "torch" else _METHODS
        return making.subclass(parts.cell, dict.fromkeys(methods, call), ("I", "H"))
    return calls.step(parts.cell, parts.slots, module, form)


def _classifier(module: ModuleType, parts: Parts, form: Form) -> Any:
    found = parts.classifier
    if found is None and form.framework == "torch" and parts.cell is not None:
        from parity.doctor.zoo.torch_around import classifier_of

        return classifier_of(_cell(module, parts, form))
    if found is None or isinstance(found, type) != form.of_classes:
        raise NotInForm(f"it has no classifier that is a {'class' if form.of_classes else 'function'}")
    if not form.of_classes:
        return calls.of_params_and_x(found)
    own = getattr(found, parts.reads)
    methods = {} if form.framework == "torch" else dict.fromkeys(_METHODS[:2], own)
    return making.subclass(found, methods, ("I", "H", "C", "layers"))


def _training(module: ModuleType, parts: Parts, form: Form) -> Any:
    if form.framework == "torch":
        from parity.doctor.zoo.torch_around import train_step, training

        return training(parts.training or train_step)
    if parts.training is None:
        raise NotInForm("it has no training step")
    return parts.training


def _init(module: ModuleType, parts: Parts, form: Form) -> Any:
    if made := maker(module.__name__):
        parts.init, parts.sizes = made, roles.of_sizes(roles.arguments(made) or [], ("I", "H"))
    if parts.init is None:
        raise NotInForm("it has no function that makes the parameters")
    return making.init(parts.init, parts.sizes, form)
