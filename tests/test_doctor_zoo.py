"""The zoo: every wrong cell is caught, nearly all are named, and nothing is ever named that is not so."""

import pytest

from parity.doctor.diagnose import diagnose
from parity.doctor.kill import judge
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


def test_the_zoo_is_large_and_mixed() -> None:
    wrong = [s for s in ZOO if s.verdict == "wrong"]
    assert len(wrong) >= 60
    assert len({s.framework for s in wrong}) == 3
    assert len(UNNAMED) <= 0.05 * len(wrong)
    assert sum(bool(s.source) for s in ZOO) >= 10
