"""A student's file, as the doctor sees it: what can be called in it, and what comes of calling it.

The code runs in a process of its own, with limits on time, memory and files, and without leave to write
elsewhere, to start processes or to use the network. That contains accidents (a loop without end, a download,
a path mistyped); it does not stop anyone who wants to break out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from parity.doctor.child import CallFailed, Child, Limits, Unexamined
from parity.doctor.sandbox.wire import Array

CHUNK = 256
"""Calls asked for in one request, so that the limit on its time is one on the code and not on the probes."""


@dataclass(frozen=True)
class Target:
    """One thing in the file that can be called.

    Attributes:
        name: in the file, "ManualLSTMCell".
        kind: "cell", "classifier" or "training".
        framework: "torch", "jax" or "numpy".
        line: where it is defined.
        state_names: of a cell: its two states as its code names them, in the order of `run`'s first, second.
        carried: the two go in and come out as one carry, so that the order in must be the order out.
        returns: the names in the return statement, where the source shows them.
        layout: how it takes a batch: "rows" [B, I], "columns" [I, B], or "vectors" [I], one by one.
    """

    name: str
    kind: str
    framework: str
    line: int | None
    state_names: tuple[str, ...] = ()
    carried: bool = False
    returns: tuple[str, str] | None = None
    layout: str = "rows"


@dataclass(frozen=True)
class Run:
    """What N calls of a cell returned.

    Attributes:
        first, second: [N, B, H], in the order returned.
        dtypes: of both, as returned.
        changed: what a call changed in place: "x", "first", "second", or a parameter's name.
        beside: [N, B, H], what is returned beside both states, as a scan's output; None: nothing is, or the
            calls were compiled.
    """

    first: Array
    second: Array
    dtypes: tuple[str, str]
    changed: tuple[str, ...]
    beside: Array | None = None


@dataclass(frozen=True)
class Gradients:
    """What a framework's automatic differentiation gave for one call; None for what no gradient reaches.

    Attributes:
        parameters: by name.
        inputs: by "x" and, of a cell, "first" and "second".
    """

    parameters: dict[str, Array | None]
    inputs: dict[str, Array | None]


@dataclass(frozen=True)
class TrainStep:
    """What one call of a training step did.

    Attributes:
        parameters: after it.
        gradients: that the optimiser was given; None where it was given none, or, in JAX, where its new state
            was not handed back.
        events: of "backward" (one that reached parameters) and "step", as they came; PyTorch.
        in_eval_mode: whether the model was called in eval mode before the optimiser's step; PyTorch.
        own_optimizer: whether that was another optimiser than the one handed in; PyTorch.
        state_anew: whether the optimiser, which keeps a state, began with an empty one.
        state_dropped: whether its new state was not handed back; JAX.
    """

    parameters: dict[str, Array]
    gradients: dict[str, Array] | None
    events: tuple[str, ...]
    in_eval_mode: bool
    own_optimizer: bool
    state_anew: bool
    state_dropped: bool


class Subject:
    """The student's file in a process of its own; a context that ends it.

    Attributes:
        targets: what can be called, the cell first.
        left: names of functions that look like training steps, and take something else.
        source: the text of the file.
        unregistered: names of parameters of the last build that an optimiser never sees.
    """

    def __init__(
        self, path: Path, object_name: str | None = None, *, limits: Limits | None = None, seed: int = 0
    ) -> None:
        """Start the process and load the file.

        Args:
            object_name: what to examine; None: what looks like a cell.
            seed: of the draws in constructors and init functions.

        Raises:
            Unexamined: the file cannot be loaded, or holds nothing to examine.
        """
        self.unregistered: frozenset[str] = frozenset()
        self.source, self._seed = _text(path), seed
        self._child = Child(path, object_name, limits or Limits())
        try:
            self._child.ask("load")
            found, _ = self._child.ask("find")
            self.targets = tuple(_target(fields) for fields in found["targets"])
            self.left = tuple(found["left"])
        except CallFailed as error:
            self.close()
            raise Unexamined(error.message, error.line, self.printed) from None
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._child.pid

    @property
    def printed(self) -> str:
        """What the code wrote to stdout and stderr so far, as much as is kept."""
        return self._child.printed

    def build(
        self,
        target: Target,
        I: int,  # noqa: E741
        H: int,
        C: int = 4,
        layers: int = 1,
    ) -> dict[str, tuple[int, ...]]:
        """A fresh instance, which the methods below then use.

        Returns:
            Name → shape of its parameters, those that no optimiser sees included, buffers not.

        Raises:
            CallFailed: its constructor fails at these sizes.
            Unexamined: it took too long or too much, or ended the process.
        """
        sizes: dict[str, Any] = {"I": I, "H": H, "C": C, "layers": layers}
        built, _ = self._child.ask("build", name=target.name, kind=target.kind, seed=self._seed, **sizes)
        self.unregistered = frozenset(built["unregistered"])
        return {name: tuple(shape) for name, shape in built["shapes"]}

    def initial(self) -> dict[str, Array]:
        """The parameters of the last build, as drawn; {} where nothing in the file draws them."""
        return self._child.ask("initial")[1]

    def run(
        self,
        parameters: Mapping[str, Array],
        x: Array,
        first: Array,
        second: Array,
        *,
        dtype: str = "float64",
        fresh: bool = False,
        training: bool = True,
    ) -> Run:
        """N calls of a cell.

        Args:
            parameters: name → [N, *shape] or [1, *shape].
            x: [N, B, I]; it and the states may have N = 1 and are then shared.
            first, second: [N, B, H], the states in the order of the target's state_names.
            dtype: of all that the code is given.
            fresh: a new instance before every call.
            training: the mode of a module, after its train() or its eval().

        Raises:
            CallFailed: the code raised, or did not return two arrays [B, H].
            Unexamined: it took too long or too much, or ended the process.
        """
        given = {"x": x, "first": first, "second": second, **_prefixed(parameters)}
        parts = [
            self._child.ask("run", chunk, dtype=dtype, fresh=fresh, training=training)
            for chunk in _chunks(given, 64 if fresh else CHUNK)
        ]
        changed = dict.fromkeys(name for header, _ in parts for name in header["changed"])
        return Run(
            first=np.concatenate([arrays["first"] for _, arrays in parts]),
            second=np.concatenate([arrays["second"] for _, arrays in parts]),
            dtypes=tuple(parts[0][0]["dtypes"]),
            changed=tuple(changed),
            beside=parts[0][1].get("beside") if len(parts) == 1 else None,
        )

    def gradients(
        self,
        parameters: Mapping[str, Array],
        x: Array,
        first: Array,
        second: Array,
        weight_first: Array,
        weight_second: Array,
        *,
        dtype: str = "float64",
    ) -> Gradients | None:
        """Gradients of Σ weight_first · out_first + Σ weight_second · out_second of a call; None for NumPy.

        Args:
            parameters: name → shape as built; the other arrays are [B, I] and [B, H].

        Raises:
            CallFailed: the call or its backward pass raised.
            Unexamined: it took too long or too much, or ended the process.
        """
        weights = {"weight_first": weight_first, "weight_second": weight_second}
        given = {"x": x, "first": first, "second": second, **weights, **_prefixed(parameters)}
        return _gradients(*self._child.ask("gradients", given, dtype=dtype))

    def classify(
        self, parameters: Mapping[str, Array], x: Array, *, dtype: str = "float64", fresh: bool = False
    ) -> Array:
        """N calls of a classifier.

        Args:
            parameters: name → [N, *shape] or [1, *shape].
            x: [N, B, T, I].

        Returns:
            Logits [N, B, C].

        Raises:
            CallFailed: it raised, or did not return [B, C].
            Unexamined: it took too long or too much, or ended the process.
        """
        given = {"x": x, **_prefixed(parameters)}
        parts = [self._child.ask("classify", chunk, dtype=dtype, fresh=fresh) for chunk in _chunks(given, 32)]
        return np.concatenate([arrays["logits"] for _, arrays in parts])

    def classifier_gradients(
        self, parameters: Mapping[str, Array], x: Array, weight: Array, *, dtype: str = "float64"
    ) -> Gradients | None:
        """Gradients of Σ weight · logits by the framework, of one call; weight is [B, C]. See `gradients`."""
        given = {"x": x, "weight": weight, **_prefixed(parameters)}
        return _gradients(*self._child.ask("classifier_gradients", given, dtype=dtype))

    def train_step(
        self, parameters: Mapping[str, Array], x: Array, labels: npt.NDArray[Any], steps: int, lr: float
    ) -> list[TrainStep]:
        """Some steps of the file's training step, with plain stochastic gradient descent and cross entropy.

        The last build must be of the training step or its classifier; all is in float64.

        Args:
            parameters: of the file's classifier, as built.
            x: [B, T, I].
            labels: [B], whole numbers.
            steps: how many, one after the other.
            lr: the learning rate.

        Returns:
            What each of them did.

        Raises:
            CallFailed: it raised, or takes something else than a model or parameters, x and y.
            Unexamined: it took too long or too much, or ended the process.
        """
        given = {"x": x, "labels": np.asarray(labels, np.float64), **_prefixed(parameters)}
        header, arrays = self._child.ask("train_step", given, steps=steps, lr=lr)
        return [_train_step(f"{n}:", said, arrays) for n, said in enumerate(header["steps"])]

    def close(self) -> None:
        """End the process and delete its scratch folder."""
        self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _text(path: Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise Unexamined(f"{path} cannot be read: {error.strerror or error}") from None


def _target(fields: dict[str, Any]) -> Target:
    returns = fields["returns"]
    return Target(
        **fields
        | {"state_names": tuple(fields["state_names"]), "returns": tuple(returns) if returns else None}
    )


def _prefixed(parameters: Mapping[str, Array]) -> dict[str, Array]:
    return {f"p:{name}": np.asarray(value, np.float64) for name, value in parameters.items()}


def _chunks(given: Mapping[str, Array], size: int) -> list[dict[str, Array]]:
    given = {name: np.asarray(value, np.float64) for name, value in given.items()}
    count = max(len(value) for value in given.values())
    return [
        {name: value if len(value) == 1 else value[start : start + size] for name, value in given.items()}
        for start in range(0, count, size)
    ]


def _train_step(prefix: str, said: dict[str, Any], arrays: Mapping[str, Array]) -> TrainStep:
    def part(kind: str) -> dict[str, Array]:
        start = f"{prefix}{kind}:"
        return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}

    known = said.pop("known")
    fields = said | {"events": tuple(said["events"])}
    return TrainStep(parameters=part("p"), gradients=part("g") if known else None, **fields)


def _gradients(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> Gradients | None:
    if header["none"] is None:
        return None
    found = Gradients({}, {})
    for name in (*arrays, *header["none"]):
        of = found.parameters if name.startswith("p:") else found.inputs
        of[name.removeprefix("p:")] = arrays.get(name)
    return found
