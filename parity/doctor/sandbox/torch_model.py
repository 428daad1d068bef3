"""PyTorch modules."""

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from parity.doctor.sandbox import roles
from parity.doctor.sandbox.backends import AnyArray, Backend, Torch
from parity.doctor.sandbox.calling import Form
from parity.doctor.sandbox.errors import Failed
from parity.doctor.sandbox.instance import Total, seed_all
from parity.doctor.sandbox.sizes import Sizes, called, size_slots
from parity.doctor.sandbox.wire import Array

_OWN = frozenset(vars(nn.Module()))
"""What every module holds, which is none of the student's."""

DEEPEST = 6


class TorchModel:
    """A class of modules."""

    def __init__(self, kind: type[nn.Module], order: tuple[str, ...], module: ModuleType) -> None:
        self.kind, self.order, self._file = kind, order, module.__name__
        self.backend: Backend = Torch()

    def build(self, sizes: Sizes, dtype: str) -> "TorchInstance":
        """A fresh instance; its buffers are those of a float32 one.

        Raises:
            Failed: its constructor takes other arguments than sizes.
        """
        made = self._made(sizes, dtype)
        if dtype != "float32" and any(True for _ in made.module.buffers()):
            drawn = dict(self._made(sizes, "float32").module.named_buffers())
            for name, buffer in made.module.named_buffers():
                buffer.data.copy_(drawn[name])
        return made

    def _made(self, sizes: Sizes, dtype: str) -> "TorchInstance":
        slots = size_slots(self.kind, self.order, name=self.kind.__name__)
        seed_all(self.backend, sizes.seed)
        with self.backend.scope(dtype):
            module = called(self.kind, slots, sizes, self.backend.key)
        if not isinstance(module, nn.Module) or "_parameters" not in vars(module):
            raise Failed(
                f"{self.kind.__name__}(…) did not make a module: does its __init__ call super().__init__()?"
            )
        return TorchInstance(module, self._file, dtype)


class TorchInstance:
    """A module, and the tensors that it holds elsewhere than as parameters."""

    def __init__(self, module: nn.Module, file: str, dtype: str) -> None:
        self.module, self._file = module, file
        self._torch = Torch()
        self.backend: Backend = self._torch
        wanted = getattr(torch, dtype)
        if any(t.dtype != wanted for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()):
            module.to(wanted)
        registered = dict(module.named_parameters())
        loose = {n: t for n, t in self._loose() if n not in registered}
        for tensor in loose.values():
            if tensor.dtype != wanted:
                tensor.data = tensor.data.to(wanted)
        self.tensors: dict[str, Tensor] = registered | loose
        self.unregistered = frozenset(loose)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}

    def values(self) -> dict[str, Array]:
        return {name: self.backend.numpy(tensor) for name, tensor in self.tensors.items()}

    def assign(self, values: Mapping[str, AnyArray]) -> None:
        with torch.no_grad():
            for name, value in values.items():
                self.tensors[name].copy_(torch.from_numpy(value))

    def call(self, form: Form, values: Mapping[str, Any]) -> Any:
        given, named = form.arguments(values)
        return self.module(*given, **named)

    def gradients(self, total: Total, inputs: Mapping[str, list[AnyArray]]) -> dict[str, Any]:
        leaves = {n: [torch.tensor(v, requires_grad=True) for v in pieces] for n, pieces in inputs.items()}
        # no leaves are handed over: what changes a leaf in place raises, and states in training are none
        summed = total({name: [leaf.clone() for leaf in pieces] for name, pieces in leaves.items()})
        learnt = {f"p:{name}": [t] for name, t in self.tensors.items() if t.requires_grad}
        nothing: dict[str, Any] = dict.fromkeys(f"p:{name}" for name in self.tensors)
        return nothing | self._torch.backward(summed, leaves | learnt)

    def _loose(self) -> Iterator[tuple[str, Tensor]]:
        """Floating tensors in attributes and lists: no parameters, no buffers, no views of them."""
        known = {_storage(t) for t in (*self.module.parameters(), *self.module.buffers())}
        for name, tensor in self._tensors(self.module, "", set(), 0):
            weight = tensor.is_floating_point() and (tensor.requires_grad or tensor.dim() > 0)
            if weight and _storage(tensor) not in known:
                known.add(_storage(tensor))
                yield name, tensor

    def _tensors(self, value: Any, prefix: str, seen: set[int], depth: int) -> Iterator[tuple[str, Tensor]]:
        if id(value) in seen or depth > DEEPEST:
            return
        seen.add(id(value))
        if isinstance(value, Tensor):
            yield prefix, value
            return
        for name, child in self._children(value):
            yield from self._tensors(child, f"{prefix}.{name}" if prefix else str(name), seen, depth + 1)

    def _children(self, value: Any) -> list[tuple[Any, Any]]:
        if isinstance(value, nn.Module):
            plain = [
                (n, child) for n, child in vars(value).items() if n not in _OWN and not _is_state(n, child)
            ]
            return [*value._parameters.items(), *value._modules.items(), *plain]
        if isinstance(value, dict):
            return list(value.items())
        if isinstance(value, list | tuple):
            return list(enumerate(value))
        if type(value).__module__ == self._file and hasattr(value, "__dict__"):
            return list(vars(value).items())
        return []


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() or id(tensor)


def _is_state(name: str, value: Any) -> bool:
    """Whether an attribute is a state that is kept rather than a weight."""
    stateful = roles.is_h(name) or roles.is_c(name) or roles.core(name) in roles.STATE
    return stateful and isinstance(value, Tensor) and not value.requires_grad
