"""python -m parity doctor: tell a student which gate is wrong, and why."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from jax_lstm.console import exit_status
from jax_lstm.errors import UserError
from jax_lstm.files import require_place


@dataclass(frozen=True)
class Command:
    """Examine an LSTM cell written by hand, in PyTorch, JAX or NumPy, and say which gate is wrong, and why.

    Exit status: 0 the cell is right, 1 it is wrong, 2 it could not be examined. The file runs in a process of
    its own with limits, which contains accidents, not attacks.
    """

    file: Annotated[Path | None, tyro.conf.Positional] = None
    """Python file with the cell; a classifier and a training step in it are examined as well."""
    object: str | None = None
    """Name of the class or function to examine; None: what looks like a cell."""
    map: Path | None = None
    """JSON: which parameter is which, {"W_f": "hh.weight[H:2H]", …}. Then re-labellings count as faults."""
    hints: Literal[1, 2, 3, 4] = 4
    """How much is said: 1 how many things are wrong, 2 where, 3 the equation and a counter-example, 4 all."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Of the random probes."""
    json: Path | None = None
    """Write the diagnosis there, as JSON; - for stdout, in place of the text."""
    markdown: Path | None = None
    """Write a report for graders there, as Markdown."""
    seconds: float = 60.0
    """The longest that the file may run, its imports excluded."""
    memory: float = 2.0
    """GiB that the file may take beyond its framework."""
    zoo: bool = False
    """Examine the wrong cells that this project holds, and print which are caught."""
    grade: Path | None = None
    """A pytest file: run it on the wrong cells, and print which known bugs it lets through."""


def main(argv: list[str]) -> int:
    """The command line after `doctor`; returns the exit status."""
    status = 0

    def job() -> None:
        nonlocal status
        status = run(tyro.cli(Command, args=argv, prog="python -m parity doctor"))

    return exit_status(job) or status


def run(command: Command) -> int:
    """Do what is asked; returns the exit status.

    Raises:
        UserError: options that do not go together, or a file that cannot be.
    """
    _require_sense(command)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without ⊙
    if command.grade:
        return _grade(command.grade)
    if command.zoo:
        return _zoo(command.seed)
    return _file(command)


def _require_sense(command: Command) -> None:
    given = [name for name in ("file", "zoo", "grade") if getattr(command, name)]
    if len(given) - ({"zoo", "grade"} <= set(given)) != 1:
        raise UserError("give a Python file with a cell, or --zoo, or --grade FILE")
    if not command.file:
        for name in ("object", "map", "json", "markdown"):
            if getattr(command, name) is not None:
                raise UserError(f"--{name} is about one file with a cell, which is not given")
    if command.seed < 0:
        raise UserError("--seed must be 0 or more")
    if command.seconds <= 0 or command.memory <= 0:
        raise UserError("--seconds and --memory must be more than 0")
    if command.json and str(command.json) != "-":
        require_place("--json", command.json)
    require_place("--markdown", command.markdown)


def _file(command: Command) -> int:
    import json

    from jax_lstm.files import write_atomic
    from parity.doctor.as_json import as_json
    from parity.doctor.child import Limits
    from parity.doctor.diagnose import diagnose
    from parity.doctor.layout import read_map
    from parity.doctor.markdown import markdown
    from parity.doctor.text import text

    assert command.file
    entries = read_map(command.map) if command.map else None
    limits = Limits(seconds=command.seconds, memory_bytes=int(command.memory * 2**30))
    found = diagnose(command.file, command.object, seed=command.seed, limits=limits, entries=entries)
    said = json.dumps(as_json(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if str(command.json) == "-":
        print(said, end="")
    else:
        print(text(found, command.hints))
    if command.json and str(command.json) != "-":
        write_atomic(command.json, said)
    if command.markdown:
        write_atomic(command.markdown, markdown(found))
    return found.exit_status


def _zoo(seed: int) -> int:
    """The kill table; 1 where a cell is missed or something wrong is named."""
    from parity.doctor.kill import examine
    from parity.doctor.table import kill_table
    from parity.doctor.zoo import ZOO

    hidden = not sys.stderr.isatty()
    rows = list(tqdm(examine(seed=seed), total=len(ZOO), leave=False, disable=hidden, unit=" cells"))
    print(kill_table(rows))
    return int(any(not row.caught or row.wrong_name for row in rows))


def _grade(tests: Path) -> int:
    """The suite's kill score; 1 where it lets a known bug through, or refuses a right cell."""
    from parity.doctor.grade import grade
    from parity.doctor.table import suite_table

    with tqdm(leave=False, disable=not sys.stderr.isatty(), unit=" cells") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        wrong, right = grade(tests, progress=progress)
    print(suite_table(wrong, right))
    return int(any(r.passed_by_suite for r in wrong) or any(r.passed_by_suite is False for r in right))
