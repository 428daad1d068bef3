"""A right classifier and a right training step in PyTorch, around a specimen that has only a cell."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from parity.doctor.zoo.calls import NotInForm


def classifier_of(cell: type) -> type:
    """The handout's classifier of a cell's class in the handout's form.

    Returns:
        (input_size, hidden_size, num_classes, num_layers=1), with x [B, T, I] → logits [B, C].
    """

    class ManualLSTMClassifier(nn.Module):
        def __init__(self, input_size: int, hidden_size: int, num_classes: int, num_layers: int = 1) -> None:
            super().__init__()
            self.hidden_size = hidden_size
            sizes = [input_size, *[hidden_size] * (num_layers - 1)]
            self.cells = nn.ModuleList(cell(size, hidden_size) for size in sizes)
            self.fc = nn.Linear(hidden_size, num_classes)

        def forward(self, x: Tensor) -> Tensor:
            states = [(x.new_zeros(len(x), self.hidden_size),) * 2 for _ in self.cells]
            for t in range(x.shape[1]):
                below = x[:, t]
                for k, layer in enumerate(self.cells):
                    states[k] = layer(below, *states[k])
                    below = states[k][0]
            return self.fc(below)

    return ManualLSTMClassifier


def train_step(model: Any, x: Tensor, y: Tensor, optimizer: Any, criterion: Any) -> float:
    """One step on a batch; returns the loss."""
    model.train()
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def training(own: Callable[..., Any]) -> Callable[..., Any]:
    """A training step that takes its arguments in any order, and returns the loss alone."""
    from parity.doctor.sandbox import roles

    slots = roles.of_training(roles.arguments(own) or []) or ()

    def train(*args: Any, **named: Any) -> Any:
        given = {_role(value): value for value in (*args, *named.values())}
        if set(given) != {slot.role for slot in slots}:
            raise NotInForm(f"a training step of {', '.join(sorted(given))}")
        result = own(**{slot.name: given[slot.role] for slot in slots})
        return result[0] if isinstance(result, tuple) else result

    return train


def _role(value: Any) -> str:
    if isinstance(value, torch.optim.Optimizer):
        return "optimizer"
    if isinstance(value, Tensor):
        return "x" if value.is_floating_point() else "labels"
    is_loss = not isinstance(value, nn.Module) or isinstance(value, nn.modules.loss._Loss)
    return "criterion" if is_loss else "model"
