"""A plugin of pytest: what `parity.doctor.suite_runs` runs a teacher's tests with.

It sees to it that the student's module is the one in the folder which `PARITY_GRADED` names, whatever lies
beside the tests, and writes there what came of them.
"""

import json
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

import pytest

FOLDER = "PARITY_GRADED"
"""Variable with the path of a folder: asked.json is read, the student's modules, and came.json is written."""

# what stands in a specimen's way only through its own fault
_MAY_RAISE = {
    *(
        "sizes",
        "float16",
        "float64",
        "rounded",
        "stateful",
        "random",
        "batch-dependence",
        "in-place",
        "unregistered",
    ),
    *("detached", "h-detached", "c-detached", "axes", "no-backward", "optimizer-state-dropped"),
}
_OTHER_CALLS = ("positional argument", "keyword argument", "multiple values for argument", "not callable")
_OTHER_VALUES = ("indices must be", "not subscriptable", "unpack")


def may_raise(kinds: list[str]) -> bool:
    """Whether faults can show as an exception from the specimen's own code, and not only as a wrong value."""
    return not _MAY_RAISE.isdisjoint(kinds)


class _Finder:
    """Finds the student's module in the folder, and nowhere else."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._folder, self._names = str(folder), names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [self._folder]) if name in self._names else None


class Watch:
    """What comes of the tests.

    Attributes:
        came: "passed" tests, the "message" of the first failure, and "form", why it is none of the fault's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked = json.loads((folder / "asked.json").read_text("utf-8"))
        self.came: dict[str, Any] = {"passed": 0, "message": "", "form": ""}
        sys.meta_path.insert(0, _Finder(folder, self.asked["tops"]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test."""
        self.came["passed"] += report.when == "call" and report.passed

    def pytest_exception_interact(self, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
        """Keep the first failure."""
        if self.came["message"] or call.excinfo is None:
            return
        self.came["message"] = _last_line(call.excinfo.exconly())
        self.came["form"] = self._form(call.excinfo)

    def pytest_sessionfinish(self) -> None:
        """Write it down."""
        (self.folder / "came.json").write_text(json.dumps(self.came), "utf-8")

    def _form(self, failure: pytest.ExceptionInfo[BaseException]) -> str:
        """Why a failure comes of how the tests call, or what they look for, and not of a wrong value."""
        error = failure.value
        if isinstance(error, AssertionError | pytest.fail.Exception):
            return ""
        said, text = f"{type(error).__name__}: {_last_line(str(error))}", str(error)
        if type(error).__name__ == "NotInForm" or isinstance(error, ImportError):
            return said
        if isinstance(error, TypeError) and any(part in text for part in _OTHER_CALLS):
            return said
        # a gradient that is None is for the tests to find
        if self.asked["may_raise"] or "NoneType" in text:
            return ""
        looked_for = isinstance(error, KeyError | AttributeError) or "loading state_dict" in text
        looked_for |= isinstance(error, TypeError) and any(part in text for part in _OTHER_VALUES)
        return said if looked_for or self._inside(failure) else ""

    def _inside(self, failure: pytest.ExceptionInfo[BaseException]) -> bool:
        """Whether the specimen's own code raised it, and not what the tests do with its values."""
        for entry in reversed(failure.traceback):
            path = str(entry.path)
            if path == self.asked["specimen"] or "doctor/zoo/" in Path(path).as_posix():
                return True
            if path in self.asked["tests"]:
                return False
        return False


def _last_line(text: str) -> str:
    """The line that tells most: of what pytest says of a failed import, the last of the error."""
    lines = [line.strip() for line in text.strip().splitlines()] or [""]
    errors = [line.removeprefix("E ").strip() for line in lines if line.startswith("E ")]
    return errors[-1] if errors else lines[0]


def pytest_configure(config: pytest.Config) -> None:
    """Set up."""
    if folder := os.environ.get(FOLDER):
        config.pluginmanager.register(Watch(Path(folder)))
