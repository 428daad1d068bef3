"""The student's training step, with a stochastic gradient descent that notes what it is given."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from parity.doctor.sandbox import trees
from parity.doctor.sandbox.array_models import FunctionInstance
from parity.doctor.sandbox.backends import AnyArray
from parity.doctor.sandbox.candidates import Candidate
from parity.doctor.sandbox.errors import Failed
from parity.doctor.sandbox.wire import Array


@dataclass
class Step:
    """What one step did; see subject.TrainStep."""

    parameters: dict[str, Array] = field(default_factory=dict)
    gradients: dict[str, Array] | None = None
    events: list[str] = field(default_factory=list)
    in_eval_mode: bool = False
    state_dropped: bool = False


def train(
    training: Candidate,
    instance: Any,
    module: ModuleType,
    x: AnyArray,
    labels: AnyArray,
    steps: int,
    lr: float,
) -> list[Step]:
    """Make some steps.

    Args:
        training: whose function makes a step.
        instance: of the classifier.
        module: the file.
        x: [B, T, I].
        labels: [B], whole numbers.
        lr: the learning rate.

    Raises:
        Failed: the function takes or returns something else than a training step does.
    """
    if training.framework == "torch" and hasattr(instance, "module"):
        return _torch(training, instance, x, labels, steps, lr)
    if training.framework == "jax" and isinstance(instance, FunctionInstance):
        return _jax(training, instance, module, x, labels, steps, lr)
    raise Failed("only training steps in PyTorch and JAX, of the file's own classifier, are run")


def _called(training: Candidate, values: Mapping[str, Any]) -> Any:
    if odd := {slot.role for slot in training.slots} - set(values):
        form = "(model, x, y, optimizer, criterion)"
        form = "(params, opt_state, x, y)" if training.framework == "jax" else form
        raise Failed(f"{training.name} takes {', '.join(sorted(odd))}; {form} is expected")
    given, named = training.form.arguments(values)
    assert training.function
    return training.function(*given, **named)


def _torch(
    training: Candidate, instance: Any, x: AnyArray, labels: AnyArray, steps: int, lr: float
) -> list[Step]:
    import torch

    class Spy(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            made.events.append("step")
            made.gradients = {
                name: np.zeros(t.shape) if t.grad is None else instance.backend.numpy(t.grad)
                for name, t in instance.tensors.items()
            }
            return super().step(closure)

        def zero_grad(self, set_to_none: bool = True) -> None:
            made.events.append("zero_grad")
            super().zero_grad(set_to_none)

    model: torch.nn.Module = instance.module
    values: dict[str, Any] = {
        "model": model,
        "x": torch.from_numpy(x),
        "labels": torch.from_numpy(labels.astype("int64")),
        "optimizer": Spy(model.parameters(), lr),
        "criterion": torch.nn.CrossEntropyLoss(),
        "lr": lr,
        "device": "cpu",
    }
    for part in model.modules():
        if "Dropout" in type(part).__name__ and isinstance(getattr(part, "p", None), float):
            part.__dict__["p"] = 0.0  # what it drops would hide everything else
    kept = []
    with instance.backend.scope("float64"):
        for _ in range(steps):
            made = Step()
            with _watched(model, made):
                _called(training, values)
            made.parameters = instance.values()
            kept.append(made)
    return kept


@contextmanager
def _watched(model: Any, made: Step) -> Iterator[None]:
    """Note when the model runs in eval mode, and when gradients are made and cleared."""
    import torch

    def held() -> list[Any]:
        return [None if p.grad is None else p.grad.clone() for p in model.parameters()]

    def back(*args: Any, **kwargs: Any) -> Any:
        before = held()
        result = backward(*args, **kwargs)
        now = zip(before, held(), strict=True)
        if any(b is not None and (a is None or not torch.equal(a, b)) for a, b in now):
            made.events.append("backward")
        return result

    def clear(*args: Any, **kwargs: Any) -> Any:
        made.events.append("zero_grad")
        return zero(*args, **kwargs)

    def mode(part: Any, _: Any) -> None:
        made.in_eval_mode |= not part.training

    handle = model.register_forward_pre_hook(mode)
    backward, zero = torch.autograd.backward, model.zero_grad
    torch.autograd.backward = back
    model.zero_grad = clear
    try:
        yield
    finally:
        handle.remove()
        torch.autograd.backward = backward
        del model.zero_grad


class SpyState(NamedTuple):
    """The state of `Spy`: how often it was called, and with what."""

    count: Any
    gradients: Any


class Spy(NamedTuple):
    """A gradient transformation as optax has them."""

    init: Callable[..., Any]
    update: Callable[..., Any]


def _jax(
    training: Candidate,
    instance: FunctionInstance,
    module: ModuleType,
    x: AnyArray,
    labels: AnyArray,
    steps: int,
    lr: float,
) -> list[Step]:
    import jax

    def init(parameters: Any) -> SpyState:
        return SpyState(jax.numpy.zeros(()), jax.tree.map(jax.numpy.zeros_like, parameters))

    def update(gradients: Any, state: SpyState, params: Any = None, **_: Any) -> tuple[Any, SpyState]:
        return jax.tree.map(lambda g: -lr * g, gradients), SpyState(state.count + 1, gradients)

    kept = []
    with instance.backend.scope("float64"), _replaced(module, Spy(init, update)):
        parameters = instance.given()
        state = init(parameters)
        for _ in range(steps):
            values = {
                "params": parameters,
                "opt_state": state,
                "optimizer": Spy(init, update),
                "x": instance.backend.array(x),
                "labels": jax.numpy.asarray(labels.astype("int64")),
                "lr": lr,
            }
            parameters, state, made = _step_taken(instance, parameters, state, _called(training, values), lr)
            kept.append(made)
    return kept


@contextmanager
def _replaced(module: ModuleType, spy: Spy) -> Iterator[None]:
    """Put the spy in place of every optimiser that is global in the file."""
    held = {
        name: value
        for name, value in vars(module).items()
        if callable(getattr(value, "init", None)) and callable(getattr(value, "update", None))
    }
    vars(module).update(dict.fromkeys(held, spy))
    try:
        yield
    finally:
        vars(module).update(held)


def _step_taken(
    instance: FunctionInstance, before: Any, state: SpyState, result: Any, lr: float
) -> tuple[Any, SpyState, Step]:
    old = instance.named(before)
    shapes = {name: value.shape for name, value in old.items()}
    returned = [
        part
        for part in _parts(result)
        if {n: getattr(v, "shape", None) for n, v in instance.named(part).items()} == shapes
    ]
    if not returned:
        raise Failed("the training step must return the new parameters: `return params, opt_state, loss`")
    after, new = returned[0], instance.named(returned[0])
    states = [part for part in _parts(result) if isinstance(part, SpyState)]
    moved = any(not np.array_equal(new[name], value) for name, value in old.items())
    made = Step({name: instance.backend.numpy(value) for name, value in new.items()})
    if not states:
        return after, state, made
    advanced = float(states[0].count) > float(state.count)
    made.state_dropped = moved and not advanced
    if advanced:
        made.events = ["step"] if moved else []
        made.gradients = {
            n: instance.backend.numpy(g) for n, g in instance.named(states[0].gradients).items()
        }
    return after, states[0], made


def _parts(value: Any, depth: int = 2) -> Iterator[Any]:
    """What a step returned, and what is within it."""
    yield value
    if depth and not isinstance(value, SpyState):
        for _, child in trees.children(value):
            yield from _parts(child, depth - 1)
