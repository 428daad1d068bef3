"""What can come of examining a file, on the side of the student's code."""

from pathlib import Path
from types import TracebackType


class Refused(Exception):
    """The code cannot be examined: why, for the student, and the line of their file."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class Failed(Exception):
    """A call of the student's code that raised, or returned what was not expected."""

    def __init__(self, message: str, line: int | None = None, *, raised: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.raised = raised


_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "RESOURCE_EXHAUSTED",
    "bad_alloc",
    "Out of memory",
)
_LONGEST = 500


def translated(error: BaseException, path: Path) -> Refused | Failed:
    """What an exception of the student's code amounts to.

    Args:
        path: of their file.
    """
    if isinstance(error, Refused | Failed):
        return error
    line = line_in(error.__traceback__, path)
    text = _text(error)
    if isinstance(error, MemoryError) or any(sign in text for sign in _NO_MEMORY):
        return Refused("the code asked for more memory than it may have: is an array too large?", line)
    if isinstance(error, RecursionError):
        return Refused("the code calls itself without end (RecursionError)", line)
    if isinstance(error, SystemExit):
        called = (
            error.code if isinstance(error.code, str) and "exit" in error.code else f"sys.exit({error.code})"
        )
        return Refused(f"the code ends the program ({called}): delete that, it must return instead", line)
    if isinstance(error, KeyboardInterrupt):
        return Refused("the code was interrupted (KeyboardInterrupt)", line)
    shown = " ".join(text.split())
    shown = shown if len(shown) <= _LONGEST else shown[:_LONGEST] + " …"
    return Failed(f"{type(error).__name__}: {shown}" if shown else type(error).__name__, line, raised=True)


def line_in(traceback: TracebackType | None, path: Path) -> int | None:
    """The innermost line of a file in a traceback."""
    found = None
    while traceback:
        if traceback.tb_frame.f_code.co_filename == str(path):
            found = traceback.tb_lineno
        traceback = traceback.tb_next
    return found


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception of the student's own may have any __str__
        return ""
