"""A teacher's pytest file over the zoo: which known bugs her tests let through."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jax_lstm.errors import UserError
from parity.doctor import graded
from parity.doctor.suite import Suite, read
from parity.doctor.table import SuiteRow
from parity.doctor.zoo import RIGHT, ZOO, Specimen
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


def grade(
    tests: Path,
    *,
    jobs: int = 2,
    seconds: float = 60.0,
    progress: Callable[[int, int], None] | None = None,
    specimens: Sequence[Specimen] = ZOO,
    right: Sequence[Specimen] = RIGHT,
) -> tuple[list[SuiteRow], list[SuiteRow]]:
    """Run a teacher's tests on each wrong cell whose fault they could show, and on right cells.

    Args:
        tests: a pytest file that imports a student's module, which need not exist.
        jobs: processes at a time.
        seconds: for the tests on one cell; what takes longer is found.
        progress: called with how many wrong cells are done, and of how many.
        specimens: of them, those that are wrong are taken.
        right: right cells; of them, those of the tests' framework are taken.

    Returns:
        The rows of the wrong cells, those of another framework too (passed_by_suite None), and the rows of
        the right cells.

    Raises:
        UserError: there is no such file, it is not Python or imports nothing of a student's, pytest is not
            installed, or the tests pass on no right cell.
    """
    suite = read(tests)
    if importlib.util.find_spec("pytest") is None:
        raise UserError("--grade runs pytest, which is not installed: install it by pip install pytest")
    with _Runs(suite, jobs, seconds) as runs:
        form, accepted = _form(runs, right)
        wrong = [s for s in specimens if s.verdict == "wrong" and suite.can_show(s)]
        rows = []
        for done, (specimen, came) in enumerate(zip(wrong, runs.over(wrong, form), strict=True), 1):
            rows.append(came.row(specimen))
            if progress:
                progress(done, len(wrong))
    return rows, accepted


def _form(runs: "_Runs", right: Sequence[Specimen]) -> tuple[Form, list[SuiteRow]]:
    """The first form in which a right cell passes, and the rows of all right cells in it.

    Raises:
        UserError: there is none.
    """
    failures: list[tuple[Specimen, Came]] = []
    for form in _forms(runs.suite):
        cells = [specimen for specimen in right if specimen.framework == form.framework]
        tried = list(zip(cells, runs.over(cells, form), strict=True))
        if any(came.passed for _, came in tried):
            return form, [came.row(cell) for cell, came in tried if came.passed is not None]
        failures += tried
    # a failed comparison says more than that something is not there
    failures.sort(key=lambda tried: tried[1].passed is None)
    raise UserError(_at_fault(runs.suite, failures))


def _forms(suite: Suite) -> Iterator[Form]:
    """How the tests may call a cell, the likeliest first."""
    first = "torch" if suite.of_classes else "jax"
    classes = "classifier" in suite.roles
    for framework in (first, "numpy") if first in suite.imports else ("numpy",):
        for columns in (False, True) if framework == "numpy" else (False,):
            for output in (False, True):
                yield Form(framework, suite.of_classes, output, columns, classes)


def _at_fault(suite: Suite, failures: Sequence[tuple[Specimen, Came]]) -> str:
    name = suite.path.name
    if not failures:
        return f"there is no right cell to try {name} on"
    cell, came = failures[0]
    return (
        f"{name} does not pass on any right cell, so there is nothing to grade; the first failure on "
        f"{cell.file} ({cell.about}) is: {came.why}"
    )


class _Runs:
    """Runs the tests on specimens, in processes of their own; a context that ends them."""

    def __init__(self, suite: Suite, jobs: int, seconds: float) -> None:
        self.suite, self._seconds = suite, seconds
        self._pool = ThreadPoolExecutor(jobs)
        self._alive: set[subprocess.Popen[str]] = set()

    def over(self, specimens: Sequence[Specimen], form: Form) -> Iterator[Came]:
        """What came of each, in order."""
        return self._pool.map(lambda specimen: self._one(specimen, form), specimens)

    def _one(self, specimen: Specimen, form: Form) -> Came:
        if specimen.framework != form.framework:
            return Came(None, f"not in the suite's form: it is {specimen.framework}")
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
        try:
            output, _ = process.communicate(timeout=self._seconds)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            _end(process)
            return None, ""
        finally:
            self._alive.discard(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in [*self._alive]:
            _end(process)
        self._pool.shutdown()


def _end(process: "subprocess.Popen[str]") -> None:
    """End a process and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


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
