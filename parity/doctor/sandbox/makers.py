"""Where the parameters of a function come from: a function that draws them, or shapes that a search found."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from parity.doctor.sandbox import roles, trees
from parity.doctor.sandbox.backends import Backend, NumPy
from parity.doctor.sandbox.discover import Keys, Kind, shape_of
from parity.doctor.sandbox.errors import Failed
from parity.doctor.sandbox.instance import seed_all
from parity.doctor.sandbox.roles import Slot
from parity.doctor.sandbox.sizes import Sizes, called


class Maker:
    """Makes the parameters of a function: a container, or name → array for one argument each."""

    drawn = True
    """Whether the values mean anything."""

    def make(self, sizes: Sizes) -> Any:
        """At these sizes."""
        raise NotImplementedError


@dataclass(frozen=True)
class InitFunction(Maker):
    """A function of the file that draws parameters.

    Attributes:
        function: of sizes, and perhaps of a key, a generator or a seed.
        slots: its arguments.
        backend: whose keys it takes.
        part: which container of its result; 0 is all of it.
        weights: names of the arguments, where each weight is one.
        by_numpy: whether it draws by a NumPy generator, whatever its arrays are.
    """

    function: Callable[..., Any]
    slots: tuple[Slot, ...]
    backend: Backend
    part: int = 0
    weights: tuple[str, ...] = ()
    by_numpy: bool = False

    def make(self, sizes: Sizes) -> Any:
        result = self._called(sizes) if sizes.drawn else self._shaped(sizes)
        parts = list(trees.containers(result, self.backend.is_array))
        if len(parts) <= self.part:
            raise Failed(f"{getattr(self.function, '__name__', 'the function')} made no parameters")
        part = parts[self.part]
        return self._by_argument(part) if self.weights else part

    def _shaped(self, sizes: Sizes) -> Any:
        """What it makes, with zeros for numbers where they need not be drawn, which takes JAX long."""
        if self.backend.name != "jax":
            return self._called(sizes)
        import jax

        try:
            shapes = jax.eval_shape(lambda: self._called(sizes))
        except Exception:
            return self._called(sizes)
        if any(leaf.weak_type for leaf in jax.tree.leaves(shapes)):  # a number of Python's: a size, perhaps
            return self._called(sizes)
        return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)

    def parts(self) -> int:
        """How many containers there are in its result, within one another."""
        return len(list(trees.containers(self._shaped(Sizes(2, 3)), self.backend.is_array)))

    def _called(self, sizes: Sizes) -> Any:
        seed_all(self.backend, sizes.seed)
        return called(self.function, self.slots, sizes, NumPy().key if self.by_numpy else self.backend.key)

    def _by_argument(self, part: Any) -> dict[str, Any]:
        held = dict(trees.children(part))
        if set(self.weights) <= set(held):
            return {name: held[name] for name in self.weights}
        by_flat = {roles.flat(name): value for name, value in held.items()}
        if all(roles.flat(name) in by_flat for name in self.weights):
            return {name: by_flat[roles.flat(name)] for name in self.weights}
        if len(held) == len(self.weights):
            return dict(zip(self.weights, held.values(), strict=True))
        raise Failed(f"{len(self.weights)} weights are expected, {len(held)} were made")


@dataclass(frozen=True)
class Discovered(Maker):
    """Parameters in the containers and shapes that a search has found.

    Attributes:
        kinds: keys → kind.
        lengths: keys → length of what is unpacked.
        backend: of the arrays.
        module: the file, for its own types of record.
        weights: names of the arguments, where each weight is one.
    """

    kinds: Mapping[Keys, Kind]
    lengths: Mapping[Keys, int]
    backend: Backend
    module: ModuleType
    weights: tuple[str, ...] = ()

    drawn = False

    def make(self, sizes: Sizes) -> Any:
        rng = np.random.default_rng(sizes.seed)
        arrays = {
            keys: self.backend.array(rng.uniform(-0.5, 0.5, shape_of(kind, sizes)).astype(np.float32))
            for keys, kind in self.kinds.items()
            if kind is not None
        }
        return arrays[()] if () in arrays else self._container((), arrays, sizes)

    def _container(self, keys: Keys, arrays: Mapping[Keys, Any], sizes: Sizes) -> Any:
        below = [other for other in self.kinds if len(other) == len(keys) + 1 and other[: len(keys)] == keys]
        held = {k[-1].value: arrays[k] if k in arrays else self._container(k, arrays, sizes) for k in below}
        if any(k[-1].how == "attribute" for k in below):
            return self._record({str(name): value for name, value in held.items()})
        if held and all(isinstance(name, int) for name in held):
            length = max(self.lengths.get(keys, 0), 1 + max(int(name) for name in held))
            return tuple(
                held.get(n, self.backend.array(np.zeros(sizes.H, np.float32))) for n in range(length)
            )
        return held

    def _record(self, held: dict[str, Any]) -> Any:
        for kind in vars(self.module).values():
            names = getattr(kind, "_fields", None) if isinstance(kind, type) else None
            if isinstance(kind, type) and dataclasses.is_dataclass(kind):
                names = tuple(f.name for f in dataclasses.fields(kind))
            if names is not None and set(names) == set(held):
                return kind(**held)
        return SimpleNamespace(**held)
