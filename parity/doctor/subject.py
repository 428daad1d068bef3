"""A student's file, as the doctor sees it: what can be called in it, and what comes of calling it.

The code runs in a process of its own, with limits on time, memory and files, and without leave to write
elsewhere, to start processes or to use the network. That contains accidents (a loop without end, a download,
a path mistyped); it does not stop anyone who wants to break out.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np
import numpy.typing as npt

from parity.doctor.sandbox.wire import Array, Channel, Garbled

STARTING = 300.0
"""Seconds in which a framework must be imported, which is not the student's doing."""

CHUNK = 256
"""Calls asked for in one request, so that the limit on its time is one on the code and not on the probes."""

PRINTED = 8192
"""Characters kept of what the code prints."""

_QUIET = {
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONIOENCODING": "utf-8:replace",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def _inherited() -> dict[str, str]:
    """Our environment, but for the folder of compiled programs, into which the code may not write."""
    return {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}


class Unexamined(Exception):
    """The code could not be examined.

    Attributes:
        reason: for the student: what was expected, what came, what to do.
        line: of their file, from 1; None where unknown.
        printed: what their code wrote until then.
    """

    def __init__(self, reason: str, line: int | None = None, printed: str = "") -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason = reason
        self.line = line
        self.printed = printed


class CallFailed(Exception):
    """The student's code raised in a call, or returned what no cell returns.

    Attributes:
        message: "RuntimeError: …".
        line: of their file, from 1; None where unknown.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message = message
        self.line = line


@dataclass(frozen=True)
class Limits:
    """What the student's code may use.

    Attributes:
        seconds: of a whole examination, the import of the framework excluded.
        call_seconds: of one request.
        memory_bytes: beyond what the imported framework takes.
        file_bytes: of any file that it writes.
    """

    seconds: float = 60.0
    call_seconds: float = 10.0
    memory_bytes: int = 2 * 2**30
    file_bytes: int = 16 * 2**20


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
        inner: of a classifier: the prefix of the cell's parameters in it ("cell."); None: there is none.
    """

    name: str
    kind: str
    framework: str
    line: int | None
    state_names: tuple[str, ...] = ()
    carried: bool = False
    returns: tuple[str, str] | None = None
    inner: str | None = None
    layout: str = "rows"


@dataclass(frozen=True)
class Run:
    """What N calls of a cell returned.

    Attributes:
        first, second: [N, B, H], in the order returned.
        dtypes: of both, as returned.
        changed: what a call changed in place: "x", "first", "second", or a parameter's name.
    """

    first: Array
    second: Array
    dtypes: tuple[str, str]
    changed: tuple[str, ...]


@dataclass(frozen=True)
class TrainStep:
    """What one call of a training step did.

    Attributes:
        parameters: after it.
        gradients: that the optimiser was given; None where it was given none or they are not known.
        events: of "zero_grad", "backward" (one that reached parameters) and "step", as they came; of JAX
            "step", where the parameters moved.
        in_eval_mode: whether the model was called in eval mode; PyTorch.
        has_dropout: whether the model has layers that drop; PyTorch.
        state_dropped: whether the parameters moved but the optimiser's new state was not handed back; JAX.
    """

    parameters: dict[str, Array]
    gradients: dict[str, Array] | None
    events: tuple[str, ...]
    in_eval_mode: bool
    has_dropout: bool
    state_dropped: bool


class Subject:
    """The student's file in a process of its own; a context that ends it.

    Attributes:
        targets: what can be called, the cell first.
        source: the text of the file.
        import_seconds: of the framework and the file.
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
        self.limits = limits or Limits()
        self.unregistered: frozenset[str] = frozenset()
        self.source = _text(path)
        self._path, self._seed = Path(path).resolve(), seed
        self._spent, self._dead = 0.0, None
        begin = time.perf_counter()
        self._start(object_name)
        try:
            self._receive(STARTING, "import")
            self._ask("load")
            self.import_seconds = time.perf_counter() - begin
            found, _ = self._ask("find")
            self.targets = tuple(_target(fields) for fields in found["targets"])
        except BaseException:
            self.close()
            raise

    _dead: Unexamined | None

    @property
    def printed(self) -> str:
        """What the code wrote to stdout and stderr so far, as much as is kept."""
        with suppress(OSError), open(self._capture, "rb") as file:
            self._printed = file.read(4 * PRINTED + 4).decode(errors="replace")
        text = self._printed
        return text if len(text) <= PRINTED else text[:PRINTED] + "\n… (cut off here)"

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
        built, _ = self._ask("build", name=target.name, kind=target.kind, seed=self._seed, **sizes)
        self.unregistered = frozenset(built["unregistered"])
        return {name: tuple(shape) for name, shape in built["shapes"]}

    def initial(self) -> dict[str, Array]:
        """The parameters of the last build, as drawn; {} where nothing in the file draws them."""
        return self._ask("initial")[1]

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
            self._ask("run", chunk, dtype=dtype, fresh=fresh, training=training)
            for chunk in _chunks(given, 64 if fresh else CHUNK)
        ]
        changed = dict.fromkeys(name for header, _ in parts for name in header["changed"])
        return Run(
            first=np.concatenate([arrays["first"] for _, arrays in parts]),
            second=np.concatenate([arrays["second"] for _, arrays in parts]),
            dtypes=tuple(parts[0][0]["dtypes"]),
            changed=tuple(changed),
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
    ) -> dict[str, Array | None] | None:
        """Gradients of Σ weight_first · out_first + Σ weight_second · out_second, of one call.

        Args:
            parameters: name → shape as built; the other arrays are [B, I] and [B, H].

        Returns:
            By parameter name and "x", "first", "second"; None for what no gradient reaches; None instead of
            all for NumPy.

        Raises:
            CallFailed: the call or its backward pass raised.
            Unexamined: it took too long or too much, or ended the process.
        """
        weights = {"weight_first": weight_first, "weight_second": weight_second}
        given = {"x": x, "first": first, "second": second, **weights, **_prefixed(parameters)}
        return _gradients(*self._ask("gradients", given, dtype=dtype))

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
        parts = [self._ask("classify", chunk, dtype=dtype, fresh=fresh) for chunk in _chunks(given, 32)]
        return np.concatenate([arrays["logits"] for _, arrays in parts])

    def classifier_gradients(
        self, parameters: Mapping[str, Array], x: Array, weight: Array, *, dtype: str = "float64"
    ) -> dict[str, Array | None] | None:
        """Gradients of Σ weight · logits by the framework, of one call; weight is [B, C]. See `gradients`."""
        given = {"x": x, "weight": weight, **_prefixed(parameters)}
        return _gradients(*self._ask("classifier_gradients", given, dtype=dtype))

    def train_step(
        self, parameters: Mapping[str, Array], x: Array, labels: npt.NDArray[Any], steps: int, lr: float
    ) -> list[TrainStep]:
        """Some steps of the file's training step, with plain stochastic gradient descent and cross entropy.

        The last build must be of the training step or its classifier; all is in float64.

        Args:
            parameters: of the file's classifier, as built.
            x: [B, T, I].
            labels: [B], whole numbers.
            lr: the learning rate.

        Raises:
            CallFailed: it raised, or takes something else than a model or parameters, x and y.
            Unexamined: it took too long or too much, or ended the process.
        """
        given = {"x": x, "labels": np.asarray(labels, np.float64), **_prefixed(parameters)}
        header, arrays = self._ask("train_step", given, steps=steps, lr=lr)
        return [_train_step(f"{n}:", said, arrays) for n, said in enumerate(header["steps"])]

    def close(self) -> None:
        """End the process and delete its scratch folder."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._channel.close()
        _ = self.printed
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _start(self, object_name: str | None) -> None:
        self._scratch = tempfile.mkdtemp(prefix="doctor-")
        self._capture = os.path.join(self._scratch, "printed")
        self._dump = os.path.join(self._scratch, "dump")
        work = os.path.join(self._scratch, "work")
        os.mkdir(work)
        ours, theirs = socket.socketpair()
        root = str(Path(__file__).resolve().parents[2])
        arguments = [
            str(theirs.fileno()),
            str(self._path),
            self._dump,
            *([object_name] if object_name else []),
        ]
        with open(self._capture, "wb") as capture, theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "parity.doctor.worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=capture,
                stderr=capture,
                cwd=work,
                env=_inherited()
                | _QUIET
                | {"PYTHONPATH": _path_with(root), "TMPDIR": work, "MPLCONFIGDIR": work},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._channel = Channel(ours)
        self._channel.send({"limits": asdict(self.limits)}, within=10)

    def _ask(
        self, question: str, arrays: Mapping[str, Array] | None = None, **fields: Any
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        if self._dead:
            raise self._dead
        if (left := self.limits.seconds - self._spent) <= 0:
            self._end(
                f"the whole examination took longer than {self.limits.seconds:g} s: the code is too slow"
            )
        begin = time.perf_counter()
        seconds = min(left, self.limits.call_seconds)
        with suppress(OSError):  # an end that is gone is seen when its answer is awaited
            self._channel.send({"ask": question, **fields}, arrays, within=seconds)
        try:
            return self._receive(seconds, question)
        finally:
            self._spent += time.perf_counter() - begin

    def _receive(self, seconds: float, question: str) -> tuple[dict[str, Any], dict[str, Array]]:
        until = time.monotonic() + self.limits.seconds
        try:
            header, arrays = self._channel.receive(within=seconds)
            while "going on" in header and time.monotonic() < until:
                header, arrays = self._channel.receive(within=seconds)
        except TimeoutError:
            self._end_late(seconds, question)
        except EOFError:
            self._end_gone(question)
        except Garbled as error:
            self._end(
                f"the code wrote into the doctor's own connection ({error}): it must leave open files alone"
            )
        if "failed" in header:
            raise CallFailed(header["failed"], header["line"])
        if "refused" in header:
            self._end(header["refused"], header["line"])
        return header, arrays

    def _end_late(self, seconds: float, question: str) -> NoReturn:
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGUSR1)
        line, function = self._place(patience=1.0)
        if question == "import":
            self._end(f"the framework could not be imported in {seconds:g} s")
        where = " while it was imported" if function in (None, "<module>") and question == "load" else ""
        where = " in its constructor" if function == "__init__" else where
        advice = "is there a loop without end?"
        if question == "load":
            advice += (
                " A file to be examined must only define things:"
                ' put what trains or reads data under `if __name__ == "__main__":`'
            )
        self._end(f"the code was still running after {seconds:.3g} s{where}: {advice}", line)

    def _end_gone(self, question: str) -> NoReturn:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        status = self._process.poll()
        line, _ = self._place(patience=0.0)
        if question == "import":
            self._end(f"Python could not start or import the framework: {self.printed.strip()[-500:]}")
        if status is None or status >= 0:
            self._end(f"the code ended the whole process (status {status}): it must return instead", line)
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        meanings = {
            "SIGSEGV": "it crashed in compiled code",
            "SIGABRT": "compiled code gave up, perhaps for lack of memory",
            "SIGKILL": "it was killed, perhaps for lack of memory",
            "SIGXCPU": "it used too much processor time",
        }
        self._end(f"the code's process died ({name}): {meanings.get(name, 'something in it ended it')}", line)

    def _place(self, patience: float) -> tuple[int | None, str | None]:
        """The innermost line and function of the student's file in the dump of the dying process."""
        shown = str(self._path).encode("ascii", "backslashreplace").decode()
        until = time.monotonic() + patience
        while True:
            with suppress(OSError):
                for entry in Path(self._dump).read_text(errors="replace").splitlines():
                    if entry.startswith(f'  File "{shown}", line '):
                        number, _, function = entry.rpartition(", line ")[2].partition(" in ")
                        return int(number), function
            if time.monotonic() >= until:
                return None, None
            time.sleep(0.05)

    def _end(self, reason: str, line: int | None = None) -> NoReturn:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._dead = Unexamined(reason, line, self.printed)
        raise self._dead


def _text(path: Path) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Path(path).read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise Unexamined(f"{path} cannot be read: {error.strerror or error}") from None


def _path_with(root: str) -> str:
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([root, inherited] if inherited else [root])


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


def _gradients(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> dict[str, Array | None] | None:
    if header["none"] is None:
        return None
    names = {name: name.removeprefix("p:") for name in [*arrays, *header["none"]]}
    return {short: arrays.get(name) for name, short in names.items()}
