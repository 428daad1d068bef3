"""The arrays of PyTorch, JAX and NumPy behind one face."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np

from parity.doctor.sandbox.wire import Array

AnyArray = np.ndarray[Any, Any]
Function = Callable[[Mapping[str, list[Any]]], Any]


class Backend(Protocol):
    """What differs between the frameworks' arrays."""

    name: str

    def array(self, value: AnyArray) -> Any:
        """A framework's array with a copy of these values, in their dtype."""
        ...

    def is_array(self, value: Any) -> bool:
        """Whether it is an array of the framework, or one that it takes for one."""
        ...

    def numpy(self, value: Any) -> Array:
        """A float64 copy of a framework's array."""
        ...

    def dtype(self, value: Any) -> str:
        """The dtype's name, "float32"."""
        ...

    def scope(self, dtype: str) -> Any:
        """A context in which new arrays are of this dtype."""
        ...

    def uncompiled(self) -> Any:
        """A context in which functions run as Python, so that they take stand-ins."""
        ...

    def shaped(self, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        """What a function of arrays by name returns, for the sake of its shapes."""
        ...

    def seed(self, seed: int) -> None:
        """Seed the framework's generator of random numbers, where it has one."""
        ...

    def key(self, seed: int) -> Any:
        """A source of random numbers as init functions of this framework take it."""
        ...

    def gradients(self, total: Function, values: Mapping[str, list[Any]]) -> dict[str, Any] | None:
        """Of a number by lists of arrays; None for a list that no gradient reaches, or for all."""
        ...


class NumPy:
    """NumPy's arrays."""

    name = "numpy"

    def array(self, value: AnyArray) -> Any:
        return np.array(value)

    def is_array(self, value: Any) -> bool:
        return isinstance(value, np.ndarray)

    def numpy(self, value: Any) -> Array:
        return np.array(value, np.float64)

    def dtype(self, value: Any) -> str:
        return str(value.dtype)

    @contextmanager
    def scope(self, dtype: str) -> Iterator[None]:
        yield

    def uncompiled(self) -> Any:
        return nullcontext()

    def shaped(self, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        return function(values)

    def seed(self, seed: int) -> None:
        pass

    def key(self, seed: int) -> Any:
        return np.random.default_rng(seed)

    def gradients(self, total: Function, values: Mapping[str, list[Any]]) -> None:
        return None


class Torch:
    """PyTorch's tensors."""

    name = "torch"

    def __init__(self) -> None:
        import torch

        self._torch = torch

    def array(self, value: AnyArray) -> Any:
        return self._torch.from_numpy(np.array(value))

    def is_array(self, value: Any) -> bool:
        return isinstance(value, self._torch.Tensor)

    def numpy(self, value: Any) -> Array:
        with self._torch.no_grad():
            return np.array(value.detach().cpu().to(self._torch.float64).resolve_conj().numpy())

    def dtype(self, value: Any) -> str:
        return str(value.dtype).removeprefix("torch.")

    @contextmanager
    def scope(self, dtype: str) -> Iterator[None]:
        before = self._torch.get_default_dtype()
        self._torch.set_default_dtype(getattr(self._torch, dtype))
        try:
            yield
        finally:
            self._torch.set_default_dtype(before)

    def uncompiled(self) -> Any:
        return nullcontext()

    def shaped(self, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        return function(values)

    def seed(self, seed: int) -> None:
        self._torch.manual_seed(seed)

    def key(self, seed: int) -> Any:
        return self._torch.Generator().manual_seed(seed)

    def gradients(self, total: Function, values: Mapping[str, list[Any]]) -> dict[str, Any]:
        leaves = {name: [v.detach().requires_grad_() for v in arrays] for name, arrays in values.items()}
        # no leaves are handed over: what changes a leaf in place raises, and states in training are none
        summed = total({name: [leaf.clone() for leaf in arrays] for name, arrays in leaves.items()})
        return self.backward(summed, leaves)

    def backward(self, summed: Any, sought: Mapping[str, list[Any]]) -> dict[str, Any]:
        """The gradients of a number that depends on these tensors, or not."""
        if not self.is_array(summed) or not summed.requires_grad:
            return dict.fromkeys(sought)
        flat = [tensor for tensors in sought.values() for tensor in tensors]
        found = iter(self._torch.autograd.grad(summed, flat, allow_unused=True))
        result: dict[str, Any] = {}
        for name, tensors in sought.items():
            pieces = [(t, next(found)) for t in tensors]
            reached = any(piece is not None for _, piece in pieces)
            filled = [self._torch.zeros_like(t) if p is None else p for t, p in pieces]
            result[name] = filled if reached else None
        return result


class Jax:
    """JAX's arrays."""

    name = "jax"

    def __init__(self) -> None:
        import jax

        self._jax = jax
        self._compiled: dict[Function, Any] = {}

    def array(self, value: AnyArray) -> Any:
        return self._jax.device_put(np.array(value))  # jnp.asarray compiles something for every new shape

    def is_array(self, value: Any) -> bool:
        return isinstance(value, self._jax.Array | np.ndarray)  # which tracers are, too

    def numpy(self, value: Any) -> Array:
        return np.array(value, np.float64)

    def dtype(self, value: Any) -> str:
        return str(value.dtype)

    @contextmanager
    def scope(self, dtype: str) -> Iterator[None]:
        with self._jax.enable_x64(dtype == "float64"):
            yield

    @contextmanager
    def uncompiled(self) -> Iterator[None]:
        self._jax.config.update("jax_traceback_filtering", "off")  # which takes most of a failing call's time
        try:
            with self._jax.disable_jit():
                yield
        finally:
            self._jax.config.update("jax_traceback_filtering", "auto")

    def shaped(self, function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        try:
            return self._jax.eval_shape(function, dict(values))
        except (self._jax.errors.JAXTypeError, self._jax.errors.UnexpectedTracerError):
            return function(values)  # it looks at values

    def seed(self, seed: int) -> None:
        pass

    def key(self, seed: int) -> Any:
        return self._jax.random.PRNGKey(seed)

    def gradients(self, total: Function, values: Mapping[str, list[Any]]) -> dict[str, Any]:
        if total not in self._compiled:
            self._compiled[total] = self._jax.jit(self._jax.grad(total))
        try:  # compiled whole in a fraction of the time that its many small operations take
            found: dict[str, Any] = self._compiled[total](dict(values))
        except Exception:
            found = self._jax.grad(total)(dict(values))
        return found


BACKENDS: dict[str, type[NumPy] | type[Torch] | type[Jax]] = {"numpy": NumPy, "torch": Torch, "jax": Jax}
