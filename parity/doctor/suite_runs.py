"""A teacher's tests on one specimen after the other, each in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from parity.doctor import graded
from parity.doctor.suite import Suite
from parity.doctor.table import SuiteRow
from parity.doctor.zoo import Specimen
from parity.doctor.zoo.calls import Form

_QUIET = {
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_MODULE = """\
# made by python -m parity doctor --grade
from parity.doctor.zoo.calls import Form
from parity.doctor.zoo.handout import provide

globals().update(provide({file!r}, {names!r}, {form!r}))
"""


@dataclass(frozen=True)
class Came:
    """What came of the tests on one specimen.

    Attributes:
        passed: whether all tests passed; None where that is not known.
        why: the first failure, or why it is not known.
    """

    passed: bool | None
    why: str = ""

    def row(self, specimen: Specimen) -> SuiteRow:
        """Of the table; with the reason, where something is not as it ought to be."""
        about = specimen.about
        if self.passed is None:
            about = f"{self.why} ({about})"
        elif specimen.right and not self.passed:
            about = f"{about}: {self.why}"
        return SuiteRow(specimen.file, about, self.passed)


class Runs:
    """Runs the tests on specimens, in processes of their own; a context that ends them.

    Args:
        suite: the tests.
        jobs: processes at a time.
        seconds: that each may take.
    """

    def __init__(self, suite: Suite, jobs: int, seconds: float) -> None:
        self.suite, self._seconds = suite, seconds
        self._pool = ThreadPoolExecutor(jobs)
        self._alive: set[subprocess.Popen[str]] = set()
        self._left = False

    def over(self, specimens: Sequence[Specimen], form: Form) -> Iterator[Came]:
        """What came of each, in order."""
        return self._pool.map(lambda specimen: self._one(specimen, form), specimens)

    def _one(self, specimen: Specimen, form: Form) -> Came:
        with tempfile.TemporaryDirectory(prefix="graded-") as name:
            folder = Path(name).resolve()
            _put(folder, self.suite, specimen, form)
            status, output = self._run(folder)
            with suppress(OSError, ValueError):
                return _judged(status, json.loads((folder / "came.json").read_text("utf-8")))
        if status is None:
            return Came(False, f"no end after {self._seconds:g} s")
        lines = [line for line in output.splitlines() if line.strip()] or [""]
        return Came(None, f"pytest ended with status {status}: {lines[-1].strip()}")

    def _run(self, folder: Path) -> tuple[int | None, str]:
        """The exit status, None after too long a time, and the output."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider"]
        process = subprocess.Popen(
            [*command, "-p", "parity.doctor.graded", str(self.suite.path)],
            cwd=self.suite.path.parent,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._alive.add(process)
        if self._left:  # while it was being started
            _kill(process)
        try:
            output, _ = process.communicate(timeout=self._seconds)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            _kill(process)
            process.communicate()
            return None, ""
        finally:
            self._alive.discard(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._left = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in [*self._alive]:
            _kill(process)  # whose thread then sees its end
        self._pool.shutdown()


def _kill(process: "subprocess.Popen[str]") -> None:
    """Kill a process and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _environment(folder: Path) -> dict[str, str]:
    """This one's, without what is meant for another pytest, and with the folder's modules first."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    paths = [str(folder), str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return kept | _QUIET | {"PYTHONPATH": os.pathsep.join(paths), graded.FOLDER: str(folder)}


def _put(folder: Path, suite: Suite, specimen: Specimen, form: Form) -> None:
    """Write the student's modules, made of a specimen, and what the plugin has to know."""
    for module, names in suite.modules.items():
        *packages, last = module.split(".")
        at = folder.joinpath(*packages)
        at.mkdir(parents=True, exist_ok=True)
        for k in range(len(packages)):
            folder.joinpath(*packages[: k + 1], "__init__.py").touch()
        text = _MODULE.format(file=str(specimen.path), names=dict(names), form=form)
        (at / f"{last}.py").write_text(text, "utf-8")
    asked: dict[str, Any] = {
        "tops": [module.partition(".")[0] for module in suite.modules],
        "specimen": str(specimen.path),
        "tests": [str(suite.path), str(suite.path.with_name("conftest.py"))],
        "may_raise": graded.may_raise([kind for _, kind in specimen.expected]),
    }
    (folder / "asked.json").write_text(json.dumps(asked), "utf-8")


def _judged(status: int | None, came: dict[str, Any]) -> Came:
    """What an exit status of pytest's says together with the plugin's words."""
    if status == 0:
        return Came(True) if came["passed"] else Came(None, "all tests were skipped")
    form = came["form"] or came["message"].partition("NotInForm: ")[2]
    if form:
        return Came(None, f"not in the suite's form: {form.removeprefix('NotInForm: ')}")
    if status == 1:
        return Came(False, came["message"])
    reasons = {2: "the tests cannot be imported", 5: "there are no tests"}
    reason = reasons.get(status or 0, f"pytest ended with status {status}")
    return Came(None, ": ".join(filter(None, (reason, came["message"]))))
