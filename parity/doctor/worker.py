"""The process with the student's code: it answers the doctor's questions.

python -m parity.doctor.worker DESCRIPTOR FILE DUMP [OBJECT], started by child.py.
"""

import faulthandler
import importlib
import importlib.metadata
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from parity.doctor.sandbox import limits, running
from parity.doctor.sandbox.backends import AnyArray
from parity.doctor.sandbox.candidates import Candidate, Candidates
from parity.doctor.sandbox.errors import Failed, Refused, translated
from parity.doctor.sandbox.finding import find
from parity.doctor.sandbox.instance import Instance
from parity.doctor.sandbox.sizes import Sizes
from parity.doctor.sandbox.source import Source
from parity.doctor.sandbox.training import train
from parity.doctor.sandbox.wire import Array, Channel

Answer = tuple[dict[str, Any], dict[str, Array]]

ONLY_DEFINE = (
    "a file to be examined must only define things:"
    ' put what trains, plots or reads data under `if __name__ == "__main__":`'
)


class Worker:
    """What can be asked; every answer is a header and arrays."""

    def __init__(
        self, path: Path, object_name: str | None, bounds: dict[str, Any], beat: Callable[[], None]
    ) -> None:
        """Read the file and import its framework.

        Args:
            bounds: what the code may use.
            beat: says that there is no answer yet but that the code has returned.

        Raises:
            Refused: it is no Python, or its framework is not installed.
        """
        self.path, self.object_name, self.bounds, self.beat = path, object_name, bounds, beat
        self.source = Source.read(path)
        for framework in self.source.frameworks:
            _import(framework)
        self.found: dict[tuple[str, str], Candidate] = {}
        self.instances: dict[str, Instance] = {}

    def load(self) -> Answer:
        """Run the file."""
        os.ftruncate(1, 0)
        os.lseek(1, 0, os.SEEK_SET)
        bounds = self.bounds
        limits.apply(bounds["memory_bytes"], bounds["file_bytes"], bounds["seconds"], os.getcwd())
        sys.argv = [str(self.path)]
        sys.path.insert(0, str(self.path.parent))
        name = self.path.stem
        if name in sys.modules or name in sys.stdlib_module_names or not name.isidentifier():
            name = f"student_{abs(hash(name))}"
        self.module = sys.modules[name] = ModuleType(name)
        self.module.__file__ = str(self.path)
        try:
            exec(self.source.code, vars(self.module))
        except BaseException as error:
            failure = translated(error, self.path)
            if isinstance(failure, Refused):
                raise Refused(f"{failure.reason}; {ONLY_DEFINE}", failure.line) from None
            raise Refused(_while_loading(error, failure.message), failure.line) from None
        return {}, {}

    def find(self) -> Answer:
        """Find what can be called."""
        candidates = Candidates(self.source, self.module)
        found = find(candidates, self.object_name, self.bounds["seconds"] / 3, self.beat)
        self.found = {(c.name, c.kind): c for c in found}
        left = [] if any(c.kind == "training" for c in found) else candidates.untaken()
        return {"targets": [c.described(self.source) for c in found], "left": left}, {}

    def build(self, name: str, kind: str, seed: int, **sizes: Any) -> Answer:
        """A fresh instance."""
        self.target, self.sizes = self.found[name, kind], Sizes(seed=seed, **sizes)
        if self.target.kind == "training":
            self.target = self._classifier()
        self.instances.clear()
        instance = self._instance("float32")
        return {"shapes": list(instance.shapes().items()), "unregistered": sorted(instance.unregistered)}, {}

    def initial(self) -> Answer:
        """The parameters as drawn."""
        assert self.target.model
        with self._scope("float32"):
            made = self.target.model.build(replace(self.sizes, drawn=True), "float32")
        return {}, made.values() if getattr(made, "drawn", True) else {}

    def run(self, arrays: Mapping[str, Array], dtype: str, fresh: bool, training: bool) -> Answer:
        """Calls of a cell."""
        parameters, inputs = _parted(arrays, dtype)
        with self._scope(dtype):
            result = running.cells(
                self._maker(dtype, fresh),
                self.target.form,
                self.target.names,
                parameters,
                inputs,
                fresh=fresh,
                training=training,
            )
        first, second = (np.stack(part) for part in zip(*result.outputs, strict=True))
        header = {"dtypes": result.dtypes, "changed": list(result.changed)}
        all_have = len(result.beside) == len(result.outputs)
        return header, {"first": first, "second": second} | (
            {"beside": np.stack(result.beside)} if all_have else {}
        )

    def gradients(self, arrays: Mapping[str, Array], dtype: str) -> Answer:
        """Of one call of a cell."""
        parameters, inputs = _parted(arrays, dtype)
        with self._scope(dtype):
            instance = self._instance(dtype)
            instance.assign(parameters)
            weights = inputs["weight_first"], inputs["weight_second"]
            return _nones(
                running.cell_gradients(instance, self.target.form, self.target.names, inputs, weights)
            )

    def classify(self, arrays: Mapping[str, Array], dtype: str, fresh: bool) -> Answer:
        """Calls of a classifier."""
        parameters, inputs = _parted(arrays, dtype)
        with self._scope(dtype):
            make = self._maker(dtype, fresh)
            result = running.classifiers(
                make, self.target.form, parameters, inputs["x"], self.sizes.C, fresh=fresh
            )
        return {}, {"logits": np.stack([logits for (logits,) in result.outputs])}

    def classifier_gradients(self, arrays: Mapping[str, Array], dtype: str) -> Answer:
        """Of one call of a classifier."""
        parameters, inputs = _parted(arrays, dtype)
        with self._scope(dtype):
            instance = self._instance(dtype)
            instance.assign(parameters)
            return _nones(
                running.classifier_gradients(instance, self.target.form, inputs["x"], inputs["weight"])
            )

    def train_step(self, arrays: Mapping[str, Array], steps: int, lr: float) -> Answer:
        """Steps of training."""
        training = next((c for c in self.found.values() if c.kind == "training"), None)
        if training is None:
            raise Failed("there is no training step in the file")
        parameters, inputs = _parted(arrays, "float64")
        instance = self._made("float64")
        instance.assign(parameters)
        kept = train(training, instance, self.module, inputs["x"], inputs["labels"], steps, lr)
        taken: dict[str, Array] = {}
        for n, step in enumerate(kept):
            taken |= {f"{n}:p:{name}": value for name, value in step.parameters.items()}
            taken |= {f"{n}:g:{name}": value for name, value in (step.gradients or {}).items()}
        plain = ("events", "in_eval_mode", "own_optimizer", "state_anew", "state_dropped")
        said = [{k: getattr(s, k) for k in plain} | {"known": s.gradients is not None} for s in kept]
        return {"steps": said}, taken

    def _classifier(self) -> Candidate:
        found = next((c for c in self.found.values() if c.kind == "classifier"), None)
        if found is None:
            raise Failed("there is no classifier in the file that the training step could train")
        return found

    def _made(self, dtype: str) -> Instance:
        assert self.target.model
        with self._scope(dtype):
            return self.target.model.build(self.sizes, dtype)

    def _instance(self, dtype: str) -> Instance:
        if dtype not in self.instances:
            self.instances[dtype] = self._made(dtype)
        return self.instances[dtype]

    def _maker(self, dtype: str, fresh: bool) -> Any:
        return lambda: self._made(dtype) if fresh else self._instance(dtype)

    def _scope(self, dtype: str) -> Any:
        assert self.target.model
        return self.target.model.backend.scope(dtype)


def _import(framework: str) -> None:
    if framework == "jax":
        _compile_quickly()
    try:
        importlib.import_module(framework)
    except ImportError as error:
        raise Refused(f"the file uses {framework}, which is not installed here: {error}") from None
    if framework == "torch":
        import torch

        torch.set_num_threads(1)
        # what the first backward pass starts and holds is not to count as the student's
        torch.ones(2, 2, requires_grad=True).mm(torch.ones(2, 2)).sum().backward()
    if framework == "jax":
        import jax

        jax.block_until_ready(jax.jit(lambda x: x @ x)(jax.numpy.ones((2, 2))))


def _compile_quickly() -> None:
    """Let JAX compile in a third of the time: what it compiles here runs but a few times."""
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    try:
        release = importlib.metadata.version("jaxlib").split(".")[:2]
    except importlib.metadata.PackageNotFoundError:
        return  # which the import says
    # XLA ends the process at a flag that it does not know
    os.environ["XLA_FLAGS"] = "--xla_cpu_use_fusion_emitters=false" if release == ["0", "10"] else ""


def _while_loading(error: BaseException, message: str) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"the file imports {error.name!r}, which is not installed here, or not a file beside it"
    return f"importing the file failed with {message}; {ONLY_DEFINE}"


def _parted(arrays: Mapping[str, Array], dtype: str) -> tuple[dict[str, AnyArray], dict[str, AnyArray]]:
    cast = {name: value.astype(dtype) for name, value in arrays.items()}
    parameters = {n.removeprefix("p:"): v for n, v in cast.items() if n.startswith("p:")}
    return parameters, {n: v for n, v in cast.items() if not n.startswith("p:")}


def _nones(found: Mapping[str, Array | None] | None) -> Answer:
    if found is None:
        return {"none": None}, {}
    return {"none": [n for n, v in found.items() if v is None]}, {
        n: v for n, v in found.items() if v is not None
    }


def _answer(worker: Worker, header: dict[str, Any], arrays: dict[str, Array]) -> Answer:
    question = header.pop("ask")
    try:
        asked = getattr(worker, question)
        return asked(arrays, **header) if arrays else asked(**header)
    except BaseException as error:
        return _failure(error, worker.path)


def _failure(error: BaseException, path: Path) -> Answer:
    failure = translated(error, path)
    if isinstance(failure, Failed):
        return {"failed": failure.message, "line": failure.line, "raised": failure.raised}, {}
    return {"refused": failure.reason, "line": failure.line}, {}


def _beat(channel: Channel, seconds: float) -> Callable[[], None]:
    last = time.monotonic()

    def beat() -> None:
        nonlocal last
        if time.monotonic() > last + seconds / 10:
            last = time.monotonic()
            channel.send({"going on": True})

    return beat


def main(descriptor: int, path: Path, dump: str, object_name: str | None) -> None:
    """Answer until the doctor has gone."""
    channel = Channel(socket.socket(fileno=descriptor))
    bounds, _ = channel.receive()
    with open(dump, "w") as traces:
        faulthandler.enable(traces)
        faulthandler.register(signal.SIGUSR1, traces)
        try:
            worker = Worker(
                path, object_name, bounds["limits"], _beat(channel, bounds["limits"]["call_seconds"])
            )
        except Refused as refused:
            channel.send(*_failure(refused, path))
            return
        channel.send({})
        while True:
            try:
                question = channel.receive()
            except EOFError:
                return
            channel.send(*_answer(worker, *question))


if __name__ == "__main__":
    number, file, dump_file, *rest = sys.argv[1:]
    main(int(number), Path(file), dump_file, rest[0] if rest else None)
