"""A diagnosis as Markdown, for who grades it: everything that was found.

Names, messages and prints of the student's file stay what they are, plain characters: none becomes markup, a
link, HTML or another line of the page.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from parity.doctor.findings import PARTS, Counterexample, Diagnosis, Fault, Part
from parity.doctor.words import (
    FRAMEWORKS,
    SUBJECTS,
    credit,
    given_rows,
    marked,
    one_line,
    pair,
    probes,
    sizes,
    verdict,
    visible,
)

_NAMES: dict[str, str] = {str(part): name for part, name in PARTS.items()}
_PLAIN = re.compile(r"[^`|<>&]+")


def markdown(diagnosis: Diagnosis) -> str:
    """The page (GitHub's Markdown), from its heading to a newline."""
    d = diagnosis
    blocks = [f"# {_code(d.file)}: {d.verdict}", _head(d)]
    blocks += _table(("part", "right"), [(_NAMES.get(part, part), share) for part, share in credit(d)])
    for number, fault in enumerate(d.faults, 1):
        blocks += _fault(number, fault)
    blocks += _unexplained(d)
    if d.warnings:
        blocks += ["## Warnings", "\n".join(f"- {_prose(warning)}" for warning in d.warnings)]
    if printed := visible(d.printed).strip("\n"):
        blocks += ["## Printed by the code", _fenced(printed)]
    if d.verdict != "unexamined":
        blocks += ["## Probes", f"{probes(d)}, seed {d.seed}, {d.seconds:.1f} s."]
    return "\n\n".join(blocks) + "\n"


def _head(d: Diagnosis) -> str:
    who = [] if d.object is None else [_code(d.object)]
    who += [] if d.framework is None else [_prose(FRAMEWORKS.get(d.framework, d.framework))]
    text = "".join(f"{name}. " for name in [", ".join(who)] if name) + _prose(_capital(verdict(d)))
    if not d.reason:
        return f"{text}."
    reason = visible(d.reason).strip("\n")
    return f"{text}:\n\n{_fenced(reason)}" if "\n" in reason else f"{text}: {_prose(reason)}"


def _fault(number: int, fault: Fault) -> Iterator[str]:
    yield f"## {number}. {_capital(PARTS[fault.gate])}: {_code(fault.kind)}"
    place = [] if fault.line is None else [f"line {fault.line}"]
    place += [] if fault.parameter is None else [_code(fault.parameter)]
    if place:
        yield f"At {', '.join(place)}."
    yield _fenced("\n".join(marked(fault.equation, fault.term)))
    yield f"**What the code does:** {_prose(fault.explanation)}"
    yield f"**What to write instead:** {_prose(fault.fix)}"
    if fault.counterexample:
        yield from _by_hand(fault.counterexample, fault.gate)


def _unexplained(d: Diagnosis) -> Iterator[str]:
    if d.explained:
        return
    yield "## Unexplained"
    if d.faults:
        yield "Something else is wrong: what is left, no explanation in the bank fits."
    if d.leaves_at:
        yield f"It first leaves the equations at the {PARTS[d.leaves_at]}."
    if d.unexplained:
        yield from _by_hand(d.unexplained, d.leaves_at)


def _by_hand(example: Counterexample, part: Part | None) -> Iterator[str]:
    size = sizes(example.given)
    yield f"Counter-example{f', with {size}' if size else ''}:"
    yield from _given(example.given)
    if example.working:
        yield _fenced("\n".join(map(visible, example.working)))
    expected, got = pair(example.expected, example.got)
    rows = [("the equations give", expected), (f"the {SUBJECTS.get(part, 'cell')} gave", got)]
    yield from _table(("", example.quantity), rows)


def _given(given: Mapping[str, float | list[float]]) -> Iterator[str]:
    rows = [[f"{name} = {value}" for name, value in row] for row in given_rows(given)]
    longest = max(map(len, rows), default=0)
    yield from _table(
        ["given", *[""] * (longest - 1)], [row + [""] * (longest - len(row)) for row in rows], "---"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], last: str = "---:") -> list[str]:
    """A table as one block, if it has rows; all cells as plain text."""
    lines = [[_prose(cell) for cell in row] for row in (head, *rows)]
    lines.insert(1, ["---"] * (len(head) - 1) + [last])
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines)] if rows else []


def _fenced(text: str) -> str:
    """The text as it is, between fences longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _code(text: str) -> str:
    """A name as code; HTML's element where a code span could be left or would show entities."""
    text = one_line(text)
    return f"`{text}`" if _PLAIN.fullmatch(text) else f"<code>{_prose(text)}</code>"


def _prose(text: str) -> str:
    """The text in one line, with all that Markdown or HTML would act on made plain."""
    text = re.sub(r"([\\`*_\[\]|#~$])", r"\\\1", escape(one_line(text), quote=False))
    text = text.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
    return re.sub(r"^(\d*)([-+.)])(?=[\s-]|$)", r"\1\\\2", text)  # no list, and no rule


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
