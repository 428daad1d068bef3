"""How a diagnosis is said, as text, Markdown and JSON, and the tables over many: of made-up findings."""

import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest

from parity.doctor import words
from parity.doctor.as_json import as_json
from parity.doctor.findings import Counterexample, Diagnosis, Fault
from parity.doctor.markdown import markdown
from parity.doctor.table import Row, SuiteRow, kill_table, suite_table
from parity.doctor.text import text

NAN, INF = math.nan, math.inf
C_TILDE = "c\u0303"
GIVEN: dict[str, Any] = {"x": 0.5, "h": -0.3, "c": 0.2}
GIVEN |= {f"{kind}_{gate}": (n + 1) / 10 for n, gate in enumerate("ifoc") for kind in "WUb"}
EXAMPLE = Counterexample(GIVEN, (f"i ⊙ {C_TILDE} = 0.2100", "c_t = 0.1234"), "c_t", 0.1234, 0.2345)
FORGET = Fault(
    gate="f",
    kind="activation-tanh",
    equation="f = σ(W_f h + U_f x + b_f)",
    term="σ",
    parameter="self.W_f",
    line=23,
    explanation="The gate goes through tanh, so that it can be negative.",
    fix="Write torch.sigmoid for torch.tanh.",
    counterexample=EXAMPLE,
)
CANDIDATE = Fault(
    gate="c",
    kind="unused",
    equation=f"c_t = f ⊙ c_{{t-1}} + i ⊙ {C_TILDE}",
    term=f"i ⊙ {C_TILDE}",
    parameter=None,
    line=31,
    explanation="It is left out.",
    fix="Multiply i by it.",
)
STATE = Fault("state", "h-from-old-c", "h_t = o ⊙ tanh(c_t)", "c_t", None, None, "Old c.", "Use c_t.")
WRONG = Diagnosis(
    "my_cell.py",
    "ManualLSTMCell",
    "torch",
    "wrong",
    warnings=("W_f and W_i are exchanged throughout",),
    faults=(FORGET,),
    credit={"state": 0.999, "i": 1, "f": 0.0, "o": 1, "c": 0.5},
    probes=64,
    seed=7,
    seconds=1.23,
)
CORRECT = replace(WRONG, verdict="correct", faults=(), credit=dict.fromkeys("ifoc", 1.0))
UNEXPLAINED = replace(WRONG, faults=(), explained=False, unexplained=EXAMPLE, leaves_at="o", warnings=())
UNEXAMINED = Diagnosis(
    "my_cell.py", None, None, "unexamined", reason="no cell in it\nTraceback:\n  write one", line=3
)
HOSTILE = (
    "````\n~~~\n# h\n- l\n|<script>alert(1)</script>\n\n<img src=x> [a](http://e.x) ![p](//t) **b** __i__ "
    "$m$ &lt; </pre></code> www.a.b \x1b[31mred\x1b]0;title\x07\x9b1m\u202e\u2066\u200b\ud800\x00\x08"
)


def test_the_wrong_term_is_marked_under_the_equation_where_it_stands() -> None:
    lines = text(replace(WRONG, faults=(CANDIDATE,))).splitlines()
    at = lines.index(f"    c_t = f ⊙ c_{{t-1}} + i ⊙ {C_TILDE}")
    assert lines[at + 1] == " " * 24 + "^^^^^"  # the tilde takes no column


@pytest.mark.parametrize(
    ("equation", "term", "marks"),
    [
        (f"{C_TILDE} = tanh(W_c h)", "tanh", "    ^^^^"),
        ("門 = σ(z)", "σ", "     ^"),
        ("h = o ⊙ tanh(c)", "h = o ⊙ tanh(c)", "^" * 15),
    ],
)
def test_marks_count_columns_and_not_characters(equation: str, term: str, marks: str) -> None:
    assert words.marked(equation, term) == [equation, marks]


@pytest.mark.parametrize("term", ["", "z", "c"])
def test_a_term_that_does_not_stand_there_once_is_not_marked(term: str) -> None:
    assert words.marked("c = f ⊙ c", term) == ["c = f ⊙ c"]


def test_all_of_a_fault_is_said() -> None:
    said = text(WRONG)
    for part in (
        "my_cell.py: ManualLSTMCell (PyTorch)\nwrong: 1 fault, in the forget gate\n",
        "\nforget gate, line 23, self.W_f\n    f = σ(W_f h + U_f x + b_f)\n        ^\n",
        "\nThe gate goes through tanh, so that it can be negative.\nFix: Write torch.sigmoid",
        "Check by hand, with H = I = 1:\n    x   =  0.5   h   = -0.3   c   =  0.2\n",
        f"\n    i ⊙ {C_TILDE} = 0.2100\n    c_t = 0.1234\n",
        "\nthe equations give  c_t = 0.1234\nyour cell gave      c_t = 0.2345\n",
        "\n1 warning (no fault):\n  - W_f and W_i are exchanged throughout\n",
        f"\nCredit: i 100 %, f 0 %, o 100 %, {C_TILDE} 50 %, state 99 %\n",
        "\nCompared on 64 random inputs, seed 7, in 1.2 s.",
    ):
        assert part in said
    assert "Printed" not in said
    assert "\033" not in said


def test_several_faults_are_numbered_and_one_is_not() -> None:
    said = text(replace(WRONG, faults=(FORGET, CANDIDATE, STATE)))
    assert f"wrong: 3 faults, in the forget gate, the candidate {C_TILDE} and the state\n" in said
    assert [line[:2] for line in said.splitlines() if re.match(r"\d\. ", line)] == ["1.", "2.", "3."]
    assert "1. " not in text(WRONG)


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ((FORGET,), "one gate is wrong (the candidate c̃ counts as a gate)"),
        ((FORGET, FORGET), "one gate is wrong (the candidate c̃ counts as a gate)"),
        ((FORGET, CANDIDATE), "two gates are wrong (the candidate c̃ counts as a gate)"),
        (
            (STATE, FORGET),
            "one gate is wrong (the candidate c̃ counts as a gate) and something in the state is wrong",
        ),
        ((replace(STATE, gate="training"),), "something in the training step is wrong"),
    ],
)
def test_the_first_hint_counts_gates_without_a_name(faults: tuple[Fault, ...], said: str) -> None:
    lines = text(replace(WRONG, faults=faults), hints=1).splitlines()
    assert lines[1] == f"wrong: {said}"
    assert lines[2:] == ["", "1 warning (no fault).", "", "Compared on 64 random inputs, seed 7, in 1.2 s."]


def test_each_hint_says_more_and_nothing_too_early() -> None:
    said = {hints: text(WRONG, hints) for hints in (1, 2, 3, 4)}
    from_hint = {
        "forget gate": 2,
        "Credit": 2,
        "σ(": 3,
        "^": 3,
        "your cell gave": 3,
        "exchanged": 3,
        "self.W_f": 4,
        "line 23": 4,
        "negative": 4,
        "torch.sigmoid": 4,
    }
    for part, hint in from_hint.items():
        assert [part in said[hints] for hints in (1, 2, 3, 4)] == [hints >= hint for hints in (1, 2, 3, 4)]
    assert "activation-tanh" not in said[3]


@pytest.mark.parametrize("hints", [0, 5])
def test_other_hints_are_refused(hints: int) -> None:
    with pytest.raises(ValueError, match=f"1 .* to 4 .*, not {hints}"):
        text(WRONG, hints)


def test_a_correct_cell_is_said_to_be_so_with_its_warnings() -> None:
    said = text(CORRECT)
    assert "correct: within rounding of the equations on 64 random inputs\n" in said
    assert "exchanged" in said
    assert "seed 7" in said
    assert "Warnings" in markdown(CORRECT)


def test_what_nothing_explains_is_said_plainly() -> None:
    plain = "wrong: no explanation in the bank fits; nothing is guessed\n"
    first, second, third = (text(UNEXPLAINED, hints) for hints in (1, 2, 3))
    assert all(plain in said for said in (first, second, third))
    assert "output gate" not in first
    assert "It first leaves the equations at the output gate." in second
    assert "your cell gave" not in second
    assert "your cell gave      c_t = 0.2345" in third
    assert "nothing is guessed" in markdown(UNEXPLAINED)
    assert "0.2345" in markdown(UNEXPLAINED)


def test_what_is_left_unexplained_beside_a_fault_is_said() -> None:
    both = replace(WRONG, explained=False, unexplained=EXAMPLE)
    assert "Something else is wrong" in text(both)
    assert "Something else is wrong" in markdown(both)


@pytest.mark.parametrize("hints", [1, 4])
def test_why_a_file_could_not_be_examined_is_said_at_every_hint(hints: int) -> None:
    assert text(UNEXAMINED, hints) == (
        "my_cell.py\ncould not be examined, at line 3\n  no cell in it\n  Traceback:\n    write one"
    )


def test_a_classifier_is_not_called_a_cell() -> None:
    assert "your classifier gave" in text(replace(WRONG, faults=(replace(FORGET, gate="classifier"),)))


def test_prints_come_last_apart_and_short() -> None:
    printed = "".join(f"line {n}\r\n" for n in range(12)) + "\x1b[32mcorrect\x1b[0m: all\n\n" + "z" * 50_000
    said = text(replace(WRONG, printed=printed), width=60).split("\n\n")[-1].splitlines()
    assert said[0] == "Printed by your code, the last 10 of 14 lines:"
    assert said[-2:] == ["  | correct: all", f"  | {'z' * 55}…"]
    assert len(said) == 11
    assert text(replace(WRONG, printed="\x1b[0m \n")) == text(WRONG)


def test_lines_keep_the_width_but_for_equations() -> None:
    long = replace(FORGET, explanation="c_{t-1} is faded " * 20, fix="word " * 60)
    said = text(replace(WRONG, faults=(long,)), width=50)
    assert max(words.columns(line) for line in said.splitlines()) <= 50
    assert said.count("c_{t-1}") == 20  # not broken at its hyphen
    thirds = replace(EXAMPLE, given={name: value / 3 for name, value in GIVEN.items()})
    said = text(replace(WRONG, faults=(replace(FORGET, counterexample=thirds),)), width=50)
    assert max(words.columns(line) for line in said.splitlines()) <= 50


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.1234, 0.2345), ("0.1234", "0.2345")),
        ((-0.5, 12.25), ("-0.5000", "12.2500")),
        ((0.1234561, 0.1234569), ("0.12345610", "0.12345690")),
        ((1.5e-7, 2.5e-7), ("1.5000e-07", "2.5000e-07")),
        ((0.5, NAN), ("0.5000", "   nan")),
        ((NAN, -INF), (" nan", "-inf")),
        ((0.25, 0.25), ("0.2500", "0.2500")),
        ((0.0, 1e30), ("0.0000e+00", "1.0000e+30")),
    ],
)
def test_two_numbers_show_their_difference_and_align(
    values: tuple[float, float], said: tuple[str, str]
) -> None:
    assert words.pair(*values) == said


def test_given_numbers_are_short_and_exact() -> None:
    float32 = 0.30000001192092896
    values: list[Any] = [0.5, 0.1 + 0.2, float32, 3, [0.5, -1.0], 1e300]
    assert list(map(words.written, values)) == [
        "0.5", "0.30000000000000004", "0.3", "3", "[0.5, -1.0]", "1e+300"
    ]  # fmt: skip


def test_lists_are_given_without_a_size() -> None:
    example = replace(EXAMPLE, given={"x": [0.1, 0.2], "h": [0.5]})
    said = text(replace(WRONG, faults=(replace(FORGET, counterexample=example),)))
    assert "Check by hand:\n    x = [0.1, 0.2], h = [0.5]\n" in said


def test_only_all_is_100_percent_and_only_nothing_0() -> None:
    shares = words.credit(replace(WRONG, credit={"o": 0.001, "i": 0.9999, "f": 1.0, "c": 0.0}))
    assert shares == [("i", "99 %"), ("f", "100 %"), ("o", "1 %"), ("c", "0 %")]


def hostile() -> Diagnosis:
    """Everything that could come from a student's file, hostile."""
    example = replace(EXAMPLE, given={HOSTILE: 1.0}, working=(HOSTILE,), quantity=HOSTILE, got=INF)
    fault = replace(
        STATE, parameter=HOSTILE, explanation=HOSTILE, fix=HOSTILE, equation=HOSTILE, counterexample=example
    )
    return Diagnosis(
        file=HOSTILE,
        object=HOSTILE,
        framework=HOSTILE,
        verdict="wrong",
        reason=HOSTILE,
        warnings=(HOSTILE, "1. not a list", "- nor this"),
        faults=(fault,),
        explained=False,
        unexplained=example,
        credit={HOSTILE: 0.5},
        printed=HOSTILE,
    )


@pytest.mark.parametrize("form", [text, markdown])
def test_no_control_character_gets_through(form: Any) -> None:
    said = form(hostile())
    said.encode()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e\u2066]", said)
    assert "[31m" not in said
    assert "title" not in said
    assert "red" in said


def outside_fences(page: str) -> str:
    """The page without its fenced blocks, found as CommonMark finds them."""
    kept, fence = [], ""
    for line in page.splitlines():
        if fence:
            fence = "" if re.fullmatch(rf"{fence}`* *", line) else fence
        elif match := re.match("(`{3,})[^`]*$", line):
            fence = match[1]
        else:
            kept.append(line)
    assert not fence
    return "\n".join(kept)


def test_nothing_of_the_student_becomes_markup() -> None:
    page = outside_fences(markdown(hostile()))
    assert not re.search(r"<(?!/?code>)", page)
    assert page.count("<code>") == page.count("</code>")
    assert not re.search(r"(?<!\\)`(?!h-from-old-c`)(?<!`h-from-old-c`)", page)
    assert not re.search(r"(?<!\\)\[|(?<!\\)\$|://|www\.|\*\*b", page)
    assert "- 1\\. not a list\n- \\- nor this" in page
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert [line.split()[0] for line in headings] == ["#", "##", "##", "##", "##", "##"]
    tables = [line for line in page.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {2, 3}


def test_a_page_has_all_for_a_grader() -> None:
    page = markdown(replace(WRONG, printed="hello\n```\n"))
    for part in (
        "# `my_cell.py`: wrong\n\n`ManualLSTMCell`, PyTorch. Wrong: 1 fault, in the forget gate.\n",
        "| forget gate | 0 % |\n",
        "## 1. Forget gate: `activation-tanh`\n\nAt line 23, `self.W_f`.\n",
        "```text\nf = σ(W_f h + U_f x + b_f)\n    ^\n```\n",
        "| x = 0.5 | h = -0.3 | c = 0.2 |\n",
        "| the equations give | 0.1234 |\n| the cell gave | 0.2345 |\n",
        "\n- W\\_f and W\\_i are exchanged throughout\n",
        "````text\nhello\n```\n````\n",
        "64 random inputs, seed 7, 1.2 s.\n",
    ):
        assert part in page


def test_a_page_of_an_unexamined_file_says_why() -> None:
    assert markdown(replace(UNEXAMINED, reason="no cell; write one")) == (
        "# `my_cell.py`: unexamined\n\nCould not be examined, at line 3: no cell; write one\n"
    )
    assert "```text\nno cell in it\nTraceback:\n  write one\n```" in markdown(UNEXAMINED)


def test_json_is_strict_and_has_every_field() -> None:
    example = replace(EXAMPLE, expected=NAN, got=-INF)
    found = as_json(replace(hostile(), faults=(replace(FORGET, counterexample=example),)))
    again = json.loads(json.dumps(found, allow_nan=False, ensure_ascii=False).encode())
    assert again == found
    assert list(found) == [
        "file", "object", "framework", "verdict", "reason", "line", "warnings", "faults", "explained",
        "unexplained", "leaves_at", "credit", "probes", "seed", "printed", "seconds", "exit_status",
    ]  # fmt: skip
    (fault,) = found["faults"]
    assert list(fault) == [
        "gate", "kind", "equation", "term", "parameter", "line", "explanation", "fix", "counterexample"
    ]  # fmt: skip
    assert list(fault["counterexample"]) == ["given", "working", "quantity", "expected", "got"]
    assert (fault["counterexample"]["expected"], fault["counterexample"]["got"]) == ("NaN", "-Infinity")
    assert found["exit_status"] == 1


def zoo_row(file: str, verdict: str = "wrong", **other: Any) -> Row:
    about, expected = f"about {C_TILDE}", (("c", "no-input"),)
    right = Row(file, about, expected, expected, verdict, True, True, False, 0.5)
    return replace(right, **other)


def test_the_kill_table_names_what_must_not_be() -> None:
    other: tuple[tuple[str, str], ...] = (("i", "no-bias"),)
    rows = [
        zoo_row("named.py"),
        zoo_row("caught.py", found=(), named=False),
        zoo_row("other.py", found=other, named=False, wrong_name=True, seconds=2.5),
        zoo_row("missed.py", "correct", found=(), caught=False, named=False),
        zoo_row("right.py", "correct", expected=(), found=(), caught=False),
        zoo_row("alarm.py", expected=(), found=other, named=False, wrong_name=True),
    ]
    head, *lines = kill_table(rows).splitlines()
    results = ["named", "caught", "WRONG NAME", "MISSED", "right", "FALSE ALARM"]
    for line, result in zip(lines, results, strict=False):
        before, _, after = line.rpartition(result)
        assert words.columns(before) == head.index("result")
        assert after.strip() in ("0.5", "2.5")
    assert lines[6:] == [
        "",
        "caught       3 of 4 = 75.0 %",
        "named        1 of 4 = 25.0 %, exactly",
        "wrong names  2",
        "right cells  1 of 2 = 50.0 % correct",
        "slowest      2.5 s, other.py",
    ]


def test_tables_of_nothing_stand() -> None:
    assert "0 of 0" in kill_table([])
    assert "0 of 0" in suite_table([], [])


def test_a_suite_is_scored_by_what_it_finds() -> None:
    wrong = [SuiteRow("a.py", "deaf", False), SuiteRow("b.py", "mute", True), SuiteRow("c.py", "hangs", None)]
    right = [SuiteRow("d.py", "fused", True), SuiteRow("e.py", "packed", False)]
    assert suite_table(wrong, right).splitlines() == [
        "kill score: your tests find 1 of 2 = 50.0 % known bugs",
        "let through:",
        "  b.py  mute",
        "right cells accepted: 1 of 2 = 50.0 %",
        "rejected, though right:",
        "  e.py  packed",
        "The kill score means little as long as right cells are rejected.",
        "could not be run, and not in the kill score:",
        "  c.py  hangs",
    ]
    assert "means little" not in suite_table(wrong, right[:1])
