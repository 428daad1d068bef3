"""The process in which a student's code runs: asked over a socket, watched, and explained when it dies."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from parity.doctor.sandbox.wire import Array, Channel, Garbled

STARTING = 300.0
"""Seconds in which a framework must be imported, which is not the student's doing."""

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
        raised: it raised; not so where it cannot be called as is expected, or returned something else.
    """

    def __init__(self, message: str, line: int | None = None, *, raised: bool = False) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message = message
        self.line = line
        self.raised = raised


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


class Child:
    """A process with one student's file, which answers questions about it until it is closed."""

    def __init__(self, path: Path, object_name: str | None, limits: Limits) -> None:
        """Start it, and wait until it has imported the file's framework.

        Args:
            object_name: what to examine; None: what looks like a cell.

        Raises:
            Unexamined: it could not start, or the file is no Python.
        """
        self.limits, self._path = limits, Path(path).resolve()
        self._spent = 0.0
        self._dead: Unexamined | None = None
        with ExitStack() as started:
            self._start(object_name, started)
            self._receive(STARTING, "import")
            self._started = started.pop_all()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def printed(self) -> str:
        """What the code wrote to stdout and stderr so far, as much as is kept."""
        with suppress(OSError), open(self._capture, "rb") as file:
            self._printed = file.read(4 * PRINTED + 4).decode(errors="replace")
        text = self._printed
        return text if len(text) <= PRINTED else text[:PRINTED] + "\n… (cut off here)"

    def ask(
        self, question: str, arrays: Mapping[str, Array] | None = None, **fields: Any
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """A question, a method of `worker.Worker`, and its answer: a header and arrays.

        Raises:
            CallFailed: the student's code raised, or did not return what it should.
            Unexamined: it took too long or too much, or ended the process.
        """
        if self._dead:
            raise self._dead
        if (left := self.limits.seconds - self._spent) <= 0:
            self._end_slow()
        begin = time.perf_counter()
        seconds = min(left, self.limits.call_seconds)
        with suppress(OSError):  # an end that is gone is seen when its answer is awaited
            self._channel.send({"ask": question, **fields}, arrays, within=seconds)
        try:
            return self._receive(seconds, question)
        finally:
            self._spent += time.perf_counter() - begin

    def close(self) -> None:
        """End the process and delete its scratch folder."""
        self._started.close()

    def _start(self, object_name: str | None, started: ExitStack) -> None:
        """Start the process.

        Args:
            object_name: see `Child`.
            started: takes what is to be undone in the end.
        """
        scratch = tempfile.mkdtemp(prefix="doctor-")
        started.callback(shutil.rmtree, scratch, ignore_errors=True)
        self._capture = os.path.join(scratch, "printed")
        self._dump = os.path.join(scratch, "dump")
        work = os.path.join(scratch, "work")
        os.mkdir(work)
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        started.callback(self._channel.close)
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
        started.callback(lambda: self.printed)  # is kept after the folder
        started.callback(self._kill)
        with suppress(OSError):  # as in `ask`
            self._channel.send({"limits": asdict(self.limits)}, within=10)

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _receive(self, seconds: float, question: str) -> tuple[dict[str, Any], dict[str, Array]]:
        until = time.monotonic() + self.limits.seconds
        try:
            header, arrays = self._channel.receive(within=seconds)
            while "going on" in header:
                if time.monotonic() > until:
                    self._end_slow()
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
            raise CallFailed(header["failed"], header["line"], raised=header["raised"])
        if "refused" in header:
            self._end(header["refused"], header["line"])
        return header, arrays

    def _end_late(self, seconds: float, question: str) -> NoReturn:
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGUSR1)
        line, function = self._place(patience=1.0)
        if seconds < self.limits.call_seconds and question != "import":
            self._end_slow()
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

    def _end_slow(self) -> NoReturn:
        self._end(f"the whole examination took longer than {self.limits.seconds:g} s: the code is too slow")

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
        self._kill()
        self._dead = Unexamined(reason, line, self.printed)
        raise self._dead


def _path_with(root: str) -> str:
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([root, inherited] if inherited else [root])
