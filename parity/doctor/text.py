"""A diagnosis as plain text for a terminal, with as much of it as the hints allow."""

from collections.abc import Iterator, Mapping

from parity.doctor.findings import PARTS, Counterexample, Diagnosis, Fault, Part
from parity.doctor.words import (
    FRAMEWORKS,
    SUBJECTS,
    clipped,
    columns,
    credit,
    given_rows,
    last_lines,
    marked,
    one_line,
    padded,
    pair,
    probes,
    sizes,
    verdict,
    visible,
    widths,
    wrapped,
)

HINTS = (1, 2, 3, 4)
_PRINTED = 10
_NARROWEST = 40


def text(diagnosis: Diagnosis, hints: int = 4, width: int = 100) -> str:
    """What was found, in lines that end without a newline.

    Args:
        hints: 1: how many gates are wrong, and whether something else is, without names; 2: which they are,
            and the credit; 3: the equations, the wrong term marked, the counter-examples and the warnings;
            4: also the lines and parameters of the student's code, what it does, and what to write instead.
            Why a file could not be examined is said in full at each of them.
        width: columns to wrap at; equations and their marks are never wrapped.

    Raises:
        ValueError: no such hints.
    """
    if hints not in HINTS:
        raise ValueError(f"hints are 1 (least said) to 4 (all), not {hints!r}")
    width = max(width, _NARROWEST)
    sections = [
        _head(diagnosis, hints, width),
        *_faults(diagnosis, hints, width),
        _unexplained(diagnosis, hints, width),
        _warnings(diagnosis, hints, width),
        _foot(diagnosis, hints, width),
        _printed(diagnosis.printed, width),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _head(d: Diagnosis, hints: int, width: int) -> list[str]:
    name = "" if d.object is None else f": {one_line(d.object)}"
    framework = "" if d.framework is None else f" ({FRAMEWORKS.get(d.framework, one_line(d.framework))})"
    lines = [f"{one_line(d.file)}{name}{framework}", *wrapped(verdict(d, hints), width)]
    for line in visible(d.reason or "").splitlines():
        indent = "  " + " " * (len(line) - len(line.lstrip()))
        lines += wrapped(line, width, indent, indent)
    return lines


def _faults(d: Diagnosis, hints: int, width: int) -> Iterator[list[str]]:
    if hints < 3:
        return
    for number, fault in enumerate(d.faults, 1):
        first = f"{number}. " if len(d.faults) > 1 else ""
        rest = " " * len(first)
        place = [PARTS[fault.gate], *(_place(fault) if hints == 4 else [])]
        lines = wrapped(", ".join(place), width, first, rest)
        lines += [f"{rest}    {line}" for line in marked(fault.equation, fault.term)]
        if hints == 4:
            lines += wrapped(one_line(fault.explanation), width, rest, rest)
            lines += wrapped(one_line(fault.fix), width, f"{rest}Fix: ", f"{rest}     ")
        if fault.counterexample:
            lines += _by_hand(fault.counterexample, fault.gate, width, rest)
        yield lines


def _place(fault: Fault) -> list[str]:
    line = [] if fault.line is None else [f"line {fault.line}"]
    return line + ([] if fault.parameter is None else [one_line(fault.parameter)])


def _unexplained(d: Diagnosis, hints: int, width: int) -> list[str]:
    lines = []
    if d.faults and not d.explained:
        lines.append("Something else is wrong: what is left, no explanation in the bank fits.")
    if d.leaves_at and hints >= 2:
        lines.append(f"It first leaves the equations at the {PARTS[d.leaves_at]}.")
    if d.unexplained and hints >= 3:
        lines += _by_hand(d.unexplained, d.leaves_at, width, "")
    return lines


def _by_hand(example: Counterexample, part: Part | None, width: int, indent: str) -> list[str]:
    """The numbers, the equations worked out with them, and the two results."""
    size = sizes(example.given)
    lines = [f"{indent}Check by hand{f', with {size}' if size else ''}:"]
    inner = f"{indent}    "
    lines += _given(example.given, width, inner)
    for line in map(visible, example.working):
        fits = columns(inner + line) <= width
        lines += [inner + line] if fits else wrapped(line, width, inner, f"{inner}    ")
    sides = ("the equations give", f"your {SUBJECTS.get(part, 'cell')} gave")
    longest = max(map(len, sides))
    for side, value in zip(sides, pair(example.expected, example.got), strict=True):
        lines.append(f"{indent}{side:<{longest}}  {one_line(example.quantity)} = {value}")
    return lines


def _given(given: Mapping[str, float | list[float]], width: int, indent: str) -> list[str]:
    """Names and values in columns, or, with lists or too wide for that, one after another."""
    rows = given_rows(given)
    grid = _grid(rows, indent)
    if sizes(given) and max(map(columns, grid), default=0) <= width:
        return grid
    texts = [", ".join(f"{name} = {value}" for name, value in row) for row in rows]
    return [line for text in texts for line in wrapped(text, width, indent, f"{indent}    ")]


def _grid(rows: list[list[tuple[str, str]]], indent: str) -> list[str]:
    # A space where others have a minus, so that the points stand below one another.
    cells = [
        [text for name, value in row for text in (name, value if value.startswith("-") else f" {value}")]
        for row in rows
    ]
    across = widths(cells)
    lines = []
    for row in cells:
        texts = [padded(text, size) for text, size in zip(row, across, strict=False)]
        pairs = zip(texts[::2], texts[1::2], strict=True)
        lines.append(indent + "   ".join(f"{name} = {value}" for name, value in pairs).rstrip())
    return lines


def _warnings(d: Diagnosis, hints: int, width: int) -> list[str]:
    count = len(d.warnings)
    if not count:
        return []
    head = f"{count} warning{'s' * (count > 1)} ({'no faults' if count > 1 else 'no fault'})"
    if hints < 3:
        return [f"{head}."]
    items = [wrapped(one_line(warning), width, "  - ", "    ") for warning in d.warnings]
    return [f"{head}:", *(line for item in items for line in item)]


def _foot(d: Diagnosis, hints: int, width: int) -> list[str]:
    if d.verdict == "unexamined":
        return []
    shares = [f"{'c̃' if part == 'c' else one_line(part)} {percent}" for part, percent in credit(d)]
    lines = wrapped(", ".join(shares), width, "Credit: ", " " * 8) if shares and hints >= 2 else []
    return [*lines, f"Compared on {probes(d)}, seed {d.seed}, in {d.seconds:.1f} s."]


def _printed(printed: str, width: int) -> list[str]:
    """The last lines, each behind a bar: they must not pass for lines of the report."""
    lines, count = last_lines(printed, _PRINTED)
    if not lines:
        return []
    of = f", the last {len(lines)} of {count:,} lines" if count > len(lines) else ""
    return [f"Printed by your code{of}:", *(clipped(f"  | {line}", width) for line in lines)]
