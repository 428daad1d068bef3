"""What the forms of a diagnosis share: its sentences, its numbers, and text that is safe to show.

All that comes from a student's file, names, messages and prints, is shown through `visible` or `one_line`: it
may hold escape sequences that paint over the report, or characters that turn the reading direction round.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import floor, isfinite, log10

import numpy as np

from parity.doctor.findings import PARTS, Diagnosis, Part

FRAMEWORKS = {"torch": "PyTorch", "jax": "JAX", "numpy": "NumPy"}
GATES: tuple[Part, ...] = ("i", "f", "o", "c")
SUBJECTS: dict[Part | None, str] = {"classifier": "classifier", "training": "training step"}
"""Whose value a counter-example shows, where it is not the cell's."""

UNEXPLAINED = "no explanation in the bank fits; nothing is guessed"

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and moves
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # titles, links and other strings
    r"|\x1b[ -/]*[0-~]?"
)
_BREAKS = re.compile("\r\n?|[\u2028\u2029]")


def visible(text: str) -> str:
    """The text without escape sequences, control and format characters; line breaks stay, as newlines."""
    text = _BREAKS.sub("\n", _ESCAPES.sub("", text)).expandtabs(4)
    return "".join(map(_shown, text))


def one_line(text: str) -> str:
    """The visible text with every run of white space as one space."""
    return " ".join(visible(text).split())


def columns(text: str) -> int:
    """How many columns of a terminal it takes: none for a combining character, two for a wide one."""
    return sum(
        0 if unicodedata.category(character) in ("Mn", "Me") else 1 + (_width(character) in "WF")
        for character in text
    )


def padded(text: str, width: int) -> str:
    """The text with spaces behind it, up to so many columns."""
    return text + " " * (width - columns(text))


def clipped(text: str, width: int) -> str:
    """The text, or as much of it as leaves room for an ellipsis in so many columns."""
    if columns(text) <= width:
        return text
    ends = accumulate(map(columns, text))
    return f"{text[: sum(end < width for end in ends)]}…"


def wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """The words in lines of at most so many columns, if no single word is wider; no line without words.

    Not textwrap, which counts characters and breaks c_{t-1} at its hyphen.

    Args:
        first, rest: what the first line, and the others, begin with.
    """
    lines, line, empty = [], first, True
    for word in text.split():
        if not empty and columns(f"{line} {word}") > width:
            lines.append(line)
            line, empty = rest, True
        line += word if empty else f" {word}"
        empty = False
    return [] if empty else [*lines, line]


def marked(equation: str, term: str) -> list[str]:
    """The equation, and under it a line of ^ below the term, if the term stands in it exactly once."""
    equation, term = visible(equation), visible(term)
    if not term or equation.count(term) != 1:
        return [equation]
    before = equation.partition(term)[0]
    return [equation, " " * columns(before) + "^" * columns(term)]


def pair(expected: float, got: float) -> tuple[str, str]:
    """Two numbers with at least two digits of their difference, and the same number of characters."""
    values = float(expected), float(got)
    largest = max((abs(value) for value in values if isfinite(value)), default=0.0)
    apart = abs(values[0] - values[1])
    exponent = floor(log10(largest)) if largest and not 1e-3 <= largest < 1e6 else 0
    needed = 1 - floor(log10(apart)) + exponent if isfinite(apart) and apart else 0
    form = f".{min(max(needed, 4), 17)}{'e' if exponent else 'f'}"
    left, right = (format(value, form) for value in values)
    width = max(len(left), len(right))
    return left.rjust(width), right.rjust(width)


def written(value: float | Sequence[float]) -> str:
    """A given number, or list, with the fewest digits that give it back: in float32 where it is one."""
    if isinstance(value, Sequence):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, int):
        return str(value)
    with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite there, hence not the same
        short = np.float32(value)
    return str(short) if float(short) == value else repr(float(value))


def given_rows(given: Mapping[str, float | list[float]]) -> list[list[tuple[str, str]]]:
    """Names and values, a row for x, h and c, and a row for each gate: those with the same ending."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for name, value in given.items():
        rows.setdefault(name.partition("_")[2], []).append((one_line(name), written(value)))
    return list(rows.values())


def sizes(given: Mapping[str, float | list[float]]) -> str:
    """ "H = I = 1", or nothing where there are lists."""
    return "" if any(isinstance(value, Sequence) for value in given.values()) else "H = I = 1"


def credit(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Part and percentage, the gates first; a share below 1 never reads 100 %, nor one above 0 as 0 %."""
    order = [*PARTS, *(part for part in diagnosis.credit if part not in PARTS)]
    return [(part, _percent(diagnosis.credit[part])) for part in order if part in diagnosis.credit]


def verdict(diagnosis: Diagnosis, hints: int = 4) -> str:
    """The verdict in one line, without the reason of an unexamined one; with hints = 1 it names no gate."""
    if diagnosis.verdict == "unexamined":
        at = "" if diagnosis.line is None else f", at line {diagnosis.line}"
        return f"could not be examined{at}"
    if diagnosis.verdict == "correct":
        return f"correct: within rounding of the equations on {probes(diagnosis)}"
    if not diagnosis.faults:
        return f"wrong: {UNEXPLAINED}"
    if hints == 1:
        return f"wrong: {_without_names(diagnosis)}"
    count = len(diagnosis.faults)
    parts = joined([f"the {PARTS[part]}" for part in _wrong_parts(diagnosis)])
    return f"wrong: {count} fault{'s' * (count > 1)}, in {parts}"


def probes(diagnosis: Diagnosis) -> str:
    """How many inputs were compared."""
    return f"{diagnosis.probes:,} random input{'s' * (diagnosis.probes != 1)}"


def last_lines(text: str, count: int) -> tuple[list[str], int]:
    """The last lines of the visible text, and how many there are in all; empty lines are left out."""
    lines = [line.rstrip() for line in visible(text).split("\n") if line.strip()]
    return lines[-count:], len(lines)


def widths(rows: Iterable[Sequence[str]]) -> list[int]:
    """The widest cell of every column; rows may be of different lengths."""
    found: list[int] = []
    for row in rows:
        found += [0] * (len(row) - len(found))
        found[: len(row)] = [max(old, columns(cell)) for old, cell in zip(found, row, strict=False)]
    return found


def joined(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(parts[:-1]), *parts[-1:]] if parts[1:] else parts)


def _without_names(diagnosis: Diagnosis) -> str:
    wrong = _wrong_parts(diagnosis)
    said = []
    if count := sum(part in GATES for part in wrong):
        number = ("one gate is", "two gates are", "three gates are", "four gates are")[count - 1]
        said.append(f"{number} wrong (the candidate c̃ counts as a gate)")
    said += [f"something in the {PARTS[part]} is wrong" for part in wrong if part not in GATES]
    return joined(said)


def _wrong_parts(diagnosis: Diagnosis) -> list[Part]:
    found = {fault.gate for fault in diagnosis.faults}
    return [part for part in PARTS if part in found]


def _percent(share: float) -> str:
    percent = round(100 * share)
    return f"{min(max(percent, 1), 99) if 0 < share < 1 else percent} %"


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":  # half a character, which no encoding can write
        return "\ufffd"
    return "" if category in ("Cc", "Cf") and character != "\n" else character


def _width(character: str) -> str:
    return unicodedata.east_asian_width(character)
