"""A teacher's pytest file over the zoo: which known bugs her tests let through."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from jax_lstm.errors import UserError
from parity.doctor.suite import Suite, read
from parity.doctor.suite_runs import Came, Runs
from parity.doctor.table import SuiteRow
from parity.doctor.zoo import RIGHT, ZOO, Specimen
from parity.doctor.zoo.calls import Form


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
        specimens: of them, those that are wrong and of the tests' framework are taken.
        right: right cells; of them, those of the tests' framework are taken.

    Returns:
        The rows of the wrong cells, and those of the right ones.

    Raises:
        UserError: there is no such file, it is not Python or imports nothing of a student's, pytest is not
            installed, or the tests pass on no right cell.
    """
    suite = read(tests)
    if importlib.util.find_spec("pytest") is None:
        raise UserError("--grade runs pytest, which is not installed: install it by pip install pytest")
    with Runs(suite, jobs, seconds) as runs:
        form, accepted = _form(runs, right)
        alike = [s for s in specimens if s.framework == form.framework]
        wrong = [s for s in alike if s.verdict == "wrong" and suite.can_show(s)]
        rows = []
        for done, (specimen, came) in enumerate(zip(wrong, runs.over(wrong, form), strict=True), 1):
            rows.append(came.row(specimen))
            if progress:
                progress(done, len(wrong))
    return rows, accepted


def _form(runs: Runs, right: Sequence[Specimen]) -> tuple[Form, list[SuiteRow]]:
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
    failures.sort(key=lambda tried: (tried[1].passed is None, "it has no " in tried[1].why))
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
