"""The zoo: every wrong cell is caught, nearly all are named, and nothing is ever named that is not so."""

from dataclasses import replace

import pytest
from doctor_lines import LINES

from parity.doctor.diagnose import diagnose
from parity.doctor.kill import examine as examine_all
from parity.doctor.kill import judge
from parity.doctor.table import kill_table
from parity.doctor.zoo import ZOO, Specimen

UNNAMED: frozenset[str] = frozenset()
"""Specimens that are caught and not named exactly: at most one in twenty."""

# one of each kind of work, for a quick look
QUICK = ("torch_f_tanh.py", "torch_clf_first_layer_bias.py", "numpy_c_overwritten.py", "torch_same_offset.py")


def examine(specimen: Specimen) -> None:
    diagnosis = diagnose(specimen.path, seed=1)
    row = judge(specimen, diagnosis)
    assert row.caught, (diagnosis.verdict, diagnosis.reason)
    assert not row.wrong_name, (row.found, specimen.expected)
    assert row.named or specimen.file in UNNAMED, (row.found, diagnosis.warnings)
    text = specimen.path.read_text(encoding="utf-8").splitlines()
    lines = tuple(text[f.line - 1].strip() if f.line else None for f in diagnosis.faults)
    assert lines == LINES.get(specimen.file, ())
    assert diagnosis.exit_status == {"correct": 0, "wrong": 1, "unexamined": 2}[specimen.verdict]
    for fault in diagnosis.faults:
        assert fault.explanation
        assert fault.fix
        assert fault.equation.count(fault.term) == 1
        shown = fault.counterexample
        assert shown is None or abs(shown.expected - shown.got) > 0.01


@pytest.mark.parametrize("specimen", [s for s in ZOO if s.file in QUICK], ids=lambda s: s.file)
def test_some(specimen: Specimen) -> None:
    examine(specimen)


@pytest.mark.slow
@pytest.mark.parametrize("specimen", [s for s in ZOO if s.file not in QUICK], ids=lambda s: s.file)
def test_the_others(specimen: Specimen) -> None:
    examine(specimen)


def test_the_kill_table_counts_what_is_caught_missed_and_misnamed() -> None:
    files = ("torch_f_tanh.py", "torch_same_offset.py", "torch_cannot_stack.py")
    specimens = tuple(s for s in ZOO if s.file in files)
    rows = list(examine_all(specimens))
    assert [(r.caught, r.named, r.wrong_name) for r in rows] == [(True, True, False)] * 3
    assert "3 of 3" in kill_table(rows)
    # the same diagnosis, had the cell another fault
    other = replace(specimens[0], expected=(("o", "unused"),))
    row = judge(other, diagnose(other.path))
    assert (row.caught, row.named, row.wrong_name) == (True, False, True)
    missed = replace(specimens[0], expected=(), warnings=("offset",))
    assert not judge(missed, diagnose(missed.path)).caught
    assert "WRONG NAME" in kill_table([row])


def test_the_zoo_is_large_and_mixed() -> None:
    wrong = [s for s in ZOO if s.verdict == "wrong"]
    assert len(wrong) >= 60
    assert len({s.framework for s in wrong}) == 3
    assert LINES.keys() == {s.file for s in wrong}
    assert len(UNNAMED) <= 0.05 * len(wrong)
    assert sum(bool(s.source) for s in ZOO) >= 10
