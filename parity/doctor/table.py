"""Tables over many cells: what the doctor makes of the zoo, and what a teacher's own tests make of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parity.doctor.words import clipped, one_line, padded, widths

_WIDEST = 40


@dataclass(frozen=True)
class Row:
    """What the doctor made of one cell of the zoo.

    Attributes:
        file: name of the cell's file.
        about: what is wrong with it, in a few words.
        expected: the (gate, kind) that it has; none for a right cell.
        found: the (gate, kind) that were named.
        verdict: correct, wrong or unexamined.
        caught: whether a wrong cell was called wrong.
        named: whether `found` is what was expected.
        wrong_name: whether something was named that is not so.
        seconds: of the examination.
    """

    file: str
    about: str
    expected: tuple[tuple[str, str], ...]
    found: tuple[tuple[str, str], ...]
    verdict: str
    caught: bool
    named: bool
    wrong_name: bool
    seconds: float


@dataclass(frozen=True)
class SuiteRow:
    """What a teacher's tests made of one cell.

    Attributes:
        file: name of the cell's file.
        about: what is wrong with it, or which style it is written in.
        passed_by_suite: whether all tests passed; None where they could not be run.
    """

    file: str
    about: str
    passed_by_suite: bool | None


def kill_table(rows: Sequence[Row]) -> str:
    """One line per cell and a summary; right cells (nothing expected) are counted apart.

    In capitals what must not be: MISSED, a wrong cell not called wrong; WRONG NAME, something named that is
    not so; FALSE ALARM, a right cell called wrong; UNEXAMINED, a right cell that could not be examined.
    """
    head = ("file", "about", "expected", "found", "result", "seconds")
    lines = [
        (
            one_line(row.file),
            one_line(row.about),
            _names(row.expected),
            "the same" if row.named and row.expected else _names(row.found),
            _result(row),
            f"{row.seconds:7.1f}",
        )
        for row in rows
    ]
    return "\n".join([*_aligned([head, *lines]), "", *_summary(rows)])


def suite_table(wrong: Sequence[SuiteRow], right: Sequence[SuiteRow]) -> str:
    """A teacher's tests against known bugs: the share they find, those they let through, and right cells.

    Args:
        wrong: cells with a known bug, which the tests should fail.
        right: right cells, in several styles, which they should pass.
    """
    ran = [row for row in wrong if row.passed_by_suite is not None]
    killed = [row for row in ran if not row.passed_by_suite]
    through = [row for row in ran if row.passed_by_suite]
    rejected = [row for row in right if row.passed_by_suite is False]
    accepted = sum(row.passed_by_suite is True for row in right)
    lines = [f"kill score: your tests find {_of(len(killed), len(ran))} known bugs"]
    lines += _listed("let through", through)
    lines.append(f"right cells accepted: {_of(accepted, len(right))}")
    lines += _listed("rejected, though right", rejected)
    if rejected:
        lines.append("The kill score means little as long as right cells are rejected.")
    not_run = [row for row in (*wrong, *right) if row.passed_by_suite is None]
    return "\n".join([*lines, *_listed("could not be run, and not in the kill score", not_run)])


def _listed(title: str, rows: Sequence[SuiteRow]) -> list[str]:
    cells = [(f"  {one_line(row.file)}", one_line(row.about)) for row in rows]
    return [f"{title}:", *_aligned(cells, _WIDEST * 2)] if rows else []


def _result(row: Row) -> str:
    if not row.expected:
        return {"correct": "right", "wrong": "FALSE ALARM"}.get(row.verdict, "UNEXAMINED")
    if not row.caught:
        return "MISSED" if row.verdict != "unexamined" else "MISSED (unexamined)"
    return "WRONG NAME" if row.wrong_name else "named" if row.named else "caught"


def _summary(rows: Sequence[Row]) -> list[str]:
    wrong = [row for row in rows if row.expected]
    right = [row for row in rows if not row.expected]
    lines = [
        f"caught       {_of(sum(row.caught for row in wrong), len(wrong))}",
        f"named        {_of(sum(row.named for row in wrong), len(wrong))}, exactly",
        f"wrong names  {sum(row.wrong_name for row in rows)}",
    ]
    if right:
        lines.append(
            f"right cells  {_of(sum(row.verdict == 'correct' for row in right), len(right))} correct"
        )
    if rows:
        slowest = max(rows, key=lambda row: row.seconds)
        lines.append(f"slowest      {slowest.seconds:.1f} s, {one_line(slowest.file)}")
    return lines


def _names(faults: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{gate} {kind}" for gate, kind in faults) or "–"


def _of(count: int, total: int) -> str:
    """ "3 of 4 = 75.0 %", rounded down: only all of them are 100.0 %."""
    return f"{count:,} of {total:,}" + (f" = {1000 * count // total / 10:.1f} %" if total else "")


def _aligned(rows: Sequence[Sequence[str]], widest: int = _WIDEST) -> list[str]:
    """The rows with columns as wide as they need, up to a limit."""
    cells = [[clipped(cell, widest) for cell in row] for row in rows]
    across = widths(cells)
    return ["  ".join(map(padded, row, across)).rstrip() for row in cells]
