"""No false alarm: right cells in every layout, order, style, dtype and size are found right."""

from pathlib import Path

import pytest
from doctor_cells import Right, right_cells

from parity.doctor.diagnose import diagnose

CELLS = right_cells()
QUICK = CELLS[::60]


def examine(cell: Right, folder: Path) -> None:
    path = folder / "student.py"
    path.write_text(cell.source)
    diagnosis = diagnose(path)
    assert diagnosis.verdict == "correct", (diagnosis.reason, [(f.gate, f.kind) for f in diagnosis.faults])
    # names agree with what they do: only the order of the returned states may be remarked on
    assert {w.partition(":")[0] for w in diagnosis.warnings} <= {"order"}


@pytest.mark.parametrize("cell", QUICK, ids=lambda c: c.name)
def test_some(cell: Right, tmp_path: Path) -> None:
    examine(cell, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [c for c in CELLS if c not in QUICK], ids=lambda c: c.name)
def test_the_others(cell: Right, tmp_path: Path) -> None:
    examine(cell, tmp_path)


def test_there_are_many() -> None:
    assert len(CELLS) >= 200
    assert len({c.source for c in CELLS}) == len(CELLS)
