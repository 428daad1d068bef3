"""The student's training step, with what its optimiser is given."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

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
    own_optimizer: bool = False
    state_anew: bool = False
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
        steps: how many, one after the other.
        lr: the learning rate.

    Returns:
        What each of them did.

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

    model: torch.nn.Module = instance.module
    optimizer = torch.optim.SGD(model.parameters(), lr)
    values: dict[str, Any] = {
        "model": model,
        "x": torch.from_numpy(x),
        "labels": torch.from_numpy(labels.astype("int64")),
        "optimizer": optimizer,
        "criterion": torch.nn.CrossEntropyLoss(),
        "lr": lr,
        "device": "cpu",
    }
    for part in model.modules():
        if "Dropout" in type(part).__name__ and isinstance(getattr(part, "p", None), float):
            part.__dict__["p"] = 0.0  # what it drops would hide everything else
    kept: list[Step] = []
    with instance.backend.scope("float64"):
        for _ in range(steps):
            made = Step()
            with _watched(instance, optimizer, made):
                _called(training, values)
            made.parameters = instance.values()
            made.state_anew &= bool(kept)  # the first state of every optimiser is empty
            kept.append(made)
    return kept


@contextmanager
def _watched(instance: Any, optimizer: Any, made: Step) -> Iterator[None]:
    """Note what any optimiser does, when gradients are made, and in which mode the model is before."""
    from torch import autograd, equal
    from torch.optim.optimizer import (
        register_optimizer_step_post_hook,
        register_optimizer_step_pre_hook,
    )

    model = instance.module
    new = False

    def held() -> list[Any]:
        return [None if p.grad is None else p.grad.clone() for p in model.parameters()]

    def back(*args: Any, **kwargs: Any) -> Any:
        before = held()
        result = backward(*args, **kwargs)
        now = zip(before, held(), strict=True)
        if any(b is not None and (a is None or not equal(a, b)) for a, b in now):
            made.events.append("backward")
        return result

    def begins(stepping: Any, *_: Any) -> None:
        nonlocal new
        new = not stepping.state

    def ends(stepping: Any, *_: Any) -> None:
        made.events.append("step")
        made.own_optimizer |= stepping is not optimizer
        made.state_anew |= new and bool(stepping.state)
        moved = {id(p) for group in stepping.param_groups for p in group["params"]}
        made.gradients = {
            name: np.zeros(t.shape) if t.grad is None else instance.backend.numpy(t.grad)
            for name, t in instance.tensors.items()
            if id(t) in moved
        }

    def mode(part: Any, _: Any) -> None:
        made.in_eval_mode |= not part.training and "step" not in made.events

    hooks = [
        model.register_forward_pre_hook(mode),
        register_optimizer_step_pre_hook(begins),
        register_optimizer_step_post_hook(ends),
    ]
    backward = autograd.backward
    with patch.object(autograd, "backward", back):
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


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

    begun = updated = 0  # how often each is called, or traced

    def init(parameters: Any) -> SpyState:
        nonlocal begun
        begun += 1
        return SpyState(jax.numpy.zeros(()), jax.tree.map(jax.numpy.zeros_like, parameters))

    def update(gradients: Any, state: SpyState, params: Any = None, **_: Any) -> tuple[Any, SpyState]:
        nonlocal updated
        updated += 1
        return jax.tree.map(lambda g: -lr * g, gradients), SpyState(state.count + 1, gradients)

    kept = []
    with instance.backend.scope("float64"):
        parameters = instance.given()
        state = init(parameters)
        held = _optimizers(module)
        keeps = not held or any(jax.tree.leaves(o.init(parameters)) for o in held.values())
        begun = 0
        with patch.dict(vars(module), dict.fromkeys(held, Spy(init, update))):
            for _ in range(steps):
                values = {
                    "params": parameters,
                    "opt_state": state,
                    "optimizer": Spy(init, update),
                    "x": instance.backend.array(x),
                    "labels": jax.numpy.asarray(labels.astype("int64")),
                    "lr": lr,
                }
                count = float(state.count)  # which the step may take away, with the buffers donated to it
                result = _called(training, values)
                parameters, new, made = _step_taken(instance, parameters, count, result)
                state = state if new is None else new
                made.state_anew = keeps and begun > 0
                made.state_dropped = keeps and not begun and updated > 0 and made.gradients is None
                kept.append(made)
    return kept


def _optimizers(module: ModuleType) -> dict[str, Any]:
    """Those that are global in the file."""
    return {
        name: value
        for name, value in vars(module).items()
        if callable(getattr(value, "init", None)) and callable(getattr(value, "update", None))
    }


def _step_taken(
    instance: FunctionInstance, before: Any, count: float, result: Any
) -> tuple[Any, SpyState | None, Step]:
    """The parameters and the optimiser's state after a step, and what it did."""
    old = instance.named(before)
    shapes = {name: value.shape for name, value in old.items()}
    returned = [
        part
        for part in _parts(result)
        if {n: getattr(v, "shape", None) for n, v in instance.named(part).items()} == shapes
    ]
    if not returned:
        raise Failed("the training step must return the new parameters: `return params, opt_state, loss`")
    new = instance.named(returned[0])
    made = Step({name: instance.backend.numpy(value) for name, value in new.items()})
    after = next((part for part in _parts(result) if isinstance(part, SpyState)), None)
    if after and float(after.count) > count:
        made.gradients = {n: instance.backend.numpy(g) for n, g in instance.named(after.gradients).items()}
    return returned[0], after, made


def _parts(value: Any, depth: int = 2) -> Iterator[Any]:
    """What a step returned, and what is within it."""
    yield value
    if depth and not isinstance(value, SpyState):
        for _, child in trees.children(value):
            yield from _parts(child, depth - 1)
