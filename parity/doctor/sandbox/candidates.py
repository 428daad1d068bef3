"""What in the student's file may be a cell, a classifier or a training step, by its form."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from parity.doctor.sandbox import calling, roles
from parity.doctor.sandbox.array_models import FunctionModel, ObjectModel
from parity.doctor.sandbox.backends import BACKENDS, Backend
from parity.doctor.sandbox.calling import Form
from parity.doctor.sandbox.errors import Failed
from parity.doctor.sandbox.instance import Model
from parity.doctor.sandbox.roles import Slot
from parity.doctor.sandbox.sizes import ALL, CELL
from parity.doctor.sandbox.source import Source, Tree

METHODS = (
    "forward",
    "__call__",
    "step",
    "call",
    "cell",
    "lstm_cell",
    "forward_step",
    "cell_forward",
    "predict",
)

_STEP = re.compile(r"(?i)train_?(step|batch|one|on_)|update_?step")
_TRAINS = re.compile(r"(?i)train|step|update|fit|optimi")
_JUDGES = re.compile(r"(?i)(^|_)(eval(uate|uation)?|val(id(ate|ation)?)?|test|predict|accuracy|loss)(_|$)")
_MOVES = {"optimizer", "opt_state", "lr"}


UNTRIED = Failed("it was not tried")


@dataclass
class Candidate:
    """Something in the file that may be examined.

    Attributes:
        name: in the file.
        kind: "cell", "classifier" or "training".
        line: where it is defined.
        called: the qualified name of what a call runs, "Cell.forward".
        slots: the arguments of a call.
        framework: "torch", "jax" or "numpy".
        form: how it is called, as far as is known.
        model: what makes its instances; None for a training step.
        names: of its return statement.
        error: of the first trial, where none succeeded.
        function: of a training step.
    """

    name: str
    kind: str
    line: int | None
    called: str
    slots: tuple[Slot, ...]
    framework: str
    form: Form
    model: Model | None = None
    names: Tree | None = None
    error: Failed | None = UNTRIED
    function: Callable[..., Any] | None = None

    @property
    def works(self) -> bool:
        """Whether a trial succeeded."""
        return self.error is None

    @property
    def moves_parameters(self) -> bool:
        """Whether it takes what a training step needs to move parameters."""
        return any(slot.role in _MOVES for slot in self.slots)

    @property
    def is_unlikely(self) -> bool:
        """Whether it takes only one thing that may be the states, by its name h: a helper, perhaps."""
        return any(slot.role == "state" and roles.is_h(slot.name) for slot in self.slots)

    def described(self, source: Source) -> dict[str, Any]:
        """The fields of a Target."""
        is_cell = self.kind == "cell"
        return {
            "name": self.name,
            "kind": self.kind,
            "framework": self.framework,
            "line": self.line,
            "state_names": self._state_names(source) if is_cell else (),
            "carried": self.form.holder is not None,
            "returns": self._returned() if is_cell else None,
            "layout": self.form.layout,
        }

    def _state_names(self, source: Source) -> tuple[str, ...]:
        if not self.form.holder:
            return tuple(slot.name for slot in self.slots if slot.role in ("first", "second"))
        state = next(slot.name for slot in self.slots if slot.role == "state")
        first, second = self.form.holder.keys
        if isinstance(first, str) and isinstance(second, str):
            return first, second
        named = source.unpacked(self.called, state) or source.assigned_items(self.called, state)
        return named if len(named) == 2 and all(named) else (f"{state}[0]", f"{state}[1]")

    def _returned(self) -> tuple[str, str] | None:
        if not self.form.picked:
            return None
        first, second = (_named_at(self.names, path) for path in self.form.picked)
        return (first, second) if first and second else None


def _named_at(names: Tree | None, path: calling.Path) -> str | None:
    for key in path:
        if isinstance(key, str):
            return key
        if not isinstance(names, tuple) or key >= len(names):
            return None
        names = names[key]
    return names if isinstance(names, str) else None


class Candidates:
    """Looks through a loaded file."""

    def __init__(self, source: Source, module: ModuleType) -> None:
        self.source, self.module = source, module
        self._backends: dict[str, Backend] = {}

    def every(self) -> Iterator[Candidate]:
        """All candidates, in the file's order."""
        for name, value in list(vars(self.module).items()):
            if self.is_own(name, value):
                yield from (
                    self._of_class(name, value) if isinstance(value, type) else self._of_function(name, value)
                )

    def own(self) -> dict[str, Any]:
        """Name → class or function that the file defines."""
        return {name: value for name, value in vars(self.module).items() if self.is_own(name, value)}

    def untaken(self) -> list[str]:
        """Functions that make a step of training by their names, and take what a training step does not."""
        steps = {n: f for n, f in self.own().items() if not isinstance(f, type) and _STEP.search(n)}
        return [n for n, f in steps.items() if not roles.of_training(roles.arguments(f) or [])]

    def is_own(self, name: str, value: Any) -> bool:
        """Whether something is a class or function of this very file, under its own name."""
        if isinstance(value, type):
            return value.__module__ == self.module.__name__ and not name.startswith("__")
        code = getattr(unwrapped(value), "__code__", None)
        return callable(value) and getattr(code, "co_filename", None) == str(self.source.path)

    def framework(self, name: str) -> str:
        """The framework that a definition uses, and what it calls."""
        aliases = self.source.aliases()
        used = {aliases[n] for n in self.source.reach(name) if n in aliases}
        known = [f for f in ("jax", "torch", "numpy") if f in used]
        return (known or self.source.frameworks or ["numpy"])[0]

    def backend(self, framework: str) -> Backend:
        """Of a framework; made once."""
        if framework not in self._backends:
            self._backends[framework] = BACKENDS[framework]()
        return self._backends[framework]

    def _of_class(self, name: str, kind: type) -> Iterator[Candidate]:
        if is_torch_module(kind):
            yield from self._of_module(name, kind)
        elif not issubclass(kind, tuple | BaseException) and not _is_enumeration(kind):
            yield from self._of_plain_class(name, kind)

    def _of_module(self, name: str, kind: Any) -> Iterator[Candidate]:
        from parity.doctor.sandbox.torch_model import TorchModel

        try:
            forward = kind.forward
        except Exception:  # of a ScriptModule, which has none before it is made
            return
        parameters = _after_self(forward)
        called = getattr(forward, "__qualname__", f"{name}.forward")
        line, names = self.source.line(name), self.source.returns(called)
        if (slots := self._of_a_step(parameters, called, holds_weights=True)) is not None:
            model = TorchModel(kind, _order(kind), self.module)
            yield Candidate(name, "cell", line, called, slots, "torch", Form(slots), model, names)
        elif slots := roles.of_classifier(parameters, holds_weights=True):
            model = TorchModel(kind, ALL, self.module)
            yield Candidate(name, "classifier", line, called, slots, "torch", Form(slots), model)

    def _of_plain_class(self, name: str, kind: type) -> Iterator[Candidate]:
        framework, line = self.framework(name), self.source.line(name)
        every = [m for m in METHODS if m in vars(kind)]
        every += [
            m for m, v in vars(kind).items() if m not in every and m[:2] != "__" and inspect.isfunction(v)
        ]
        for kind_of in ("cell", "classifier"):
            for method in every:
                parameters, called = _after_self(getattr(kind, method)), f"{name}.{method}"
                if kind_of == "cell":
                    slots = self._of_a_step(parameters, called, holds_weights=method in METHODS, by_name=True)
                else:
                    slots = roles.of_classifier(parameters, holds_weights=True) if method in METHODS else None
                if slots and {"params", "weight"}.isdisjoint(slot.role for slot in slots):
                    order = _order(kind) if kind_of == "cell" else ALL
                    model = ObjectModel(kind, method, order, self.backend(framework), self.module)
                    names = self.source.returns(called)
                    yield Candidate(name, kind_of, line, called, slots, framework, Form(slots), model, names)
                    return

    def _of_function(self, name: str, function: Callable[..., Any]) -> Iterator[Candidate]:
        called = getattr(unwrapped(function), "__qualname__", name)
        called = name if called == "<lambda>" else called
        if (parameters := roles.arguments(function)) is None:
            return
        framework, line, names = self.framework(called), self.source.line(called), self.source.returns(called)
        if _TRAINS.search(name) and (slots := roles.of_training(parameters)):
            form = Form(slots)
            if not _JUDGES.search(name):
                yield Candidate(name, "training", line, called, slots, framework, form, function=function)
            return
        slots = self._of_a_step(parameters, called, holds_weights=False)
        kind = "cell" if slots else "classifier"
        slots = slots or roles.of_classifier(parameters, holds_weights=False)
        if slots:
            model = FunctionModel(function, slots, self.backend(framework))
            yield Candidate(name, kind, line, called, slots, framework, Form(slots), model, names)

    def _of_a_step(
        self,
        parameters: Sequence[inspect.Parameter],
        called: str,
        *,
        holds_weights: bool,
        by_name: bool = False,
    ) -> tuple[Slot, ...] | None:
        """A cell's arguments; none for what goes through a sequence by itself."""
        slots = roles.of_cell(parameters, holds_weights=holds_weights)
        x = next((slot.name for slot in slots or () if slot.role == "x"), "")
        if by_name and slots and roles.core(x) not in roles.X:
            return None
        return None if slots and self.source.loops_over(called, x) else slots


def unwrapped(value: Any) -> Any:
    """The plain function within what a decorator such as jax.jit made."""
    try:
        return inspect.unwrap(value)
    except ValueError:
        return value


def is_torch_module(kind: type) -> bool:
    """Whether it is a class of nn.Module; PyTorch need not be imported to know."""
    return any(
        f"{base.__module__}.{base.__name__}" == "torch.nn.modules.module.Module" for base in kind.__mro__
    )


def _after_self(method: Any) -> list[inspect.Parameter]:
    return (roles.arguments(method) or [])[1:]


def _order(kind: type) -> tuple[str, ...]:
    needed = roles.required(roles.arguments(kind) or [])
    return CELL if len(needed) <= 2 else ALL


def _is_enumeration(kind: type) -> bool:
    return any(base.__module__ == "enum" for base in kind.__mro__)
