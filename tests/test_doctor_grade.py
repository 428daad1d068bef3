"""A teacher's tests are graded by the bugs they find, and by nothing else."""

import sys
import time
from pathlib import Path

import doctor_suites as suites
import numpy as np
import pytest

from jax_lstm.errors import UserError
from parity.doctor import grade as grade_module
from parity.doctor.grade import grade
from parity.doctor.suite import read
from parity.doctor.suite_runs import Runs
from parity.doctor.table import SuiteRow, suite_table
from parity.doctor.zoo import RIGHT, ZOO, Specimen
from parity.doctor.zoo.calls import Form
from parity.doctor.zoo.handout import provide


def named(*names: str) -> list[Specimen]:
    return [specimen for specimen in (*ZOO, *RIGHT) if specimen.path.stem in names]


def passed(rows: list[SuiteRow]) -> dict[str, bool | None]:
    return {row.file.removesuffix(".py"): row.passed_by_suite for row in rows}


def written(folder: Path, text: str, name: str = "test_cell.py") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


ARRAY_CELLS = {"right": named("numpy_right_function"), "seconds": 100.0}


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("from my_cell import ManualLSTMCell", {"my_cell": {"ManualLSTMCell": "cell"}}),
        ("import my_cell as m\nm.LSTMCell(2, 3)", {"my_cell": {"LSTMCell": "cell"}}),
        ("import torch\nimport a.b\ncell = a.b.Cell(2, 3)", {"a.b": {"Cell": "cell"}}),
        (
            "from s import *\nlstm_step(init_params(0, 2, 3))",
            {"s": {"init_params": "init", "lstm_step": "cell"}},
        ),
        ("import pytest\ns = pytest.importorskip('s')\ns.lstm_cell(1)", {"s": {"lstm_cell": "cell"}}),
        ("from s import Net, LSTM\nLSTM(2, 3)", {"s": {"LSTM": "cell", "Net": "classifier"}}),
        ("from s import LSTM\nLSTM(2, 3, 4)", {"s": {"LSTM": "classifier"}}),
        (
            "def test():\n    from s import train_step, sigmoid",
            {"s": {"sigmoid": "other", "train_step": "training"}},
        ),
        ("import helpers_of_ours\nfrom s import Cell", {"s": {"Cell": "cell"}}),
    ],
)
def test_reads_what_the_tests_import(tmp_path: Path, text: str, modules: object) -> None:
    assert read(written(tmp_path, text)).modules == modules


def test_what_lies_beside_is_the_students_only_if_nothing_is_missing(tmp_path: Path) -> None:
    written(tmp_path, "", "reference.py")
    written(tmp_path, "", "my_cell.py")
    both = written(tmp_path, "from my_cell import LSTMCell\nfrom reference import lstm_step")
    assert set(read(both).modules) == {"my_cell"}
    written(tmp_path, "from other import LSTMCell", "conftest.py")
    assert set(read(both).modules) == {"other"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is none at"),
        ("def test(:\n", "expects a file of tests in Python; test_cell.py, line 1: "),
        ("import torch\n", "all that it imports is installed: torch"),
        ("def test():\n    pass\n", "it imports nothing"),
        ("from my_cell import sigmoid\n", "what it imports beside installed packages is my_cell"),
    ],
)
def test_says_why_a_file_cannot_be_graded(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "test_cell.py" if text is None else written(tmp_path, text)
    with pytest.raises(UserError, match=said):
        grade(path)


def test_reads_another_coding(tmp_path: Path) -> None:
    (tmp_path / "test_cell.py").write_bytes(
        b"# coding: latin-1\nfrom s import Cell  # \xe9\nCell(layers=2)\n"
    )
    assert read(tmp_path / "test_cell.py").layers


@pytest.mark.parametrize("running", [0.0, 1.0])
def test_runs_end_where_they_are_left(tmp_path: Path, running: float) -> None:
    path = written(tmp_path, "import time\nfrom s import lstm_cell\n\ndef test_it():\n    time.sleep(100)\n")
    begin = time.monotonic()
    with Runs(read(path), jobs=2, seconds=100.0) as runs:
        runs.over(2 * named("numpy_right_function"), Form("numpy", of_classes=False))
        time.sleep(running)
    assert time.monotonic() - begin < 20


def test_needs_pytest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, suites.NAIVE)
    monkeypatch.setattr(grade_module, "read", lambda _: None)
    monkeypatch.setattr(grade_module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="pip install pytest"):
        grade(path)


def test_tests_that_no_right_cell_passes_are_at_fault(tmp_path: Path) -> None:
    text = "from s import lstm_cell\n\ndef test_it():\n    assert lstm_cell is None, 'as they say'\n"
    with pytest.raises(UserError, match=r"numpy_right_function.py .* is: AssertionError: as they say"):
        grade(written(tmp_path, text), **ARRAY_CELLS)


def test_finds_and_lets_through(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    # a module of that name beside the tests, and another pytest's wishes, change nothing
    written(tmp_path, "raise RuntimeError", "student.py")
    cells = named(
        "numpy_c_no_gate", "numpy_c_unused", "numpy_f_plus", "numpy_o_input_of_f", "numpy_hard_sigmoid"
    )
    cells += named("numpy_clf_sum_h", "jax_times", "numpy_same_scaled", "numpy_cannot_name")
    wrong, right = grade(
        written(tmp_path, suites.ARRAYS), specimens=cells, progress=lambda *n: told.append(n), **ARRAY_CELLS
    )
    assert passed(right) == {"numpy_right_function": True}
    assert passed(wrong) == {
        "numpy_c_no_gate": False,
        "numpy_c_unused": True,
        "numpy_f_plus": False,
        "numpy_o_input_of_f": True,
        "numpy_hard_sigmoid": None,  # a class
    }  # jax_times is of another framework
    assert told == [(k, 5) for k in range(1, 6)]
    assert all("not in the suite's form" in row.about for row in wrong if row.passed_by_suite is None)
    assert "kill score: your tests find 2 of 4 = 50.0 %" in suite_table(wrong, right)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["student.py", "test_cell.py"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("assert params['W_f'].shape == (3, 3)", None),  # others may have another name for it
        ("pytest.skip()", None),
        ("assert abs(c1).max() < 9", True),
        pytest.param("while True: pass", False, marks=pytest.mark.slow),
    ],
)
def test_what_is_no_fault_is_not_counted(tmp_path: Path, body: str, expected: bool | None) -> None:
    text = (
        "import numpy as np, pytest\nfrom s import init_params, lstm_cell\n\ndef test_it():\n"
        "    params = init_params(0, 5, 3)\n"
        "    h1, c1 = lstm_cell(params, np.ones((2, 5)), np.ones((2, 3)), np.ones((2, 3)))\n"
        f"    if 'W_i' not in params or params['W_i'].shape[1] == 8:\n        {body}\n"
    )
    wrong, _ = grade(
        written(tmp_path, text),
        specimens=named("numpy_h_not_updated"),
        right=named("numpy_right_function"),
        seconds=20.0,
    )
    assert passed(wrong) == {"numpy_h_not_updated": expected}


@pytest.mark.slow
def test_stricter_tests_find_more(tmp_path: Path) -> None:
    cells = named("torch_f_tanh", "torch_o_bias_of_f", "torch_i_relu", "torch_h_detached", "torch_sizes")
    cells += named("torch_clf_softmax")
    right = named("torch_right_fused", "torch_right_state")
    found = {}
    for name in ("NAIVE", "FROM_ZERO", "STRONG"):
        path = written(tmp_path, getattr(suites, name))
        wrong, accepted = grade(path, specimens=cells, right=right, seconds=200.0)
        assert all(row.passed_by_suite for row in accepted)
        assert len(accepted) == 2
        found[name] = {cell for cell, let_through in passed(wrong).items() if let_through is False}
    assert found["NAIVE"] == {"torch_sizes"}
    assert found["FROM_ZERO"] == {"torch_sizes", "torch_i_relu"}
    assert found["STRONG"] == {cell.path.stem for cell in cells[:5]}


@pytest.mark.slow
def test_classifiers_and_training_steps(tmp_path: Path) -> None:
    cells = named(
        "torch_o_no_activation", "torch_clf_wrong_step", "torch_clf_detached", "torch_train_no_backward"
    )
    cells += named("torch_clf_same_cell")  # shows from three layers on, which the tests do not make
    right = named("torch_right_plain", "torch_right_whole")
    wrong, accepted = grade(written(tmp_path, suites.CLASSIFIER), specimens=cells, right=right, seconds=200.0)
    assert all(row.passed_by_suite for row in accepted)
    assert passed(wrong) == {
        "torch_o_no_activation": True,
        "torch_clf_wrong_step": False,
        "torch_clf_detached": True,
        "torch_train_no_backward": False,
    }


@pytest.mark.slow
def test_functions_for_a_scan(tmp_path: Path) -> None:
    cells = named("jax_f_unused", "jax_o_no_input", "jax_carry_swapped", "jax_tanh_c_softmax", "jax_f_relu")
    right = named("jax_right_scan", "jax_right_whole")
    wrong, accepted = grade(written(tmp_path, suites.SCAN), specimens=cells, right=right, seconds=200.0)
    assert passed(accepted) == {"jax_right_scan": True, "jax_right_whole": True}
    assert passed(wrong) == {
        "jax_f_unused": False,
        "jax_o_no_input": True,
        "jax_carry_swapped": False,
        "jax_tanh_c_softmax": True,
        "jax_f_relu": False,
    }


def test_an_adapter_changes_no_value() -> None:
    (cell,) = named("jax_carry_swapped")
    form = Form("jax", of_classes=False)
    given = provide(str(cell.path), {"step": "cell", "make": "init"}, form)
    x, h, c = np.ones((2, 5), "f4"), np.ones((2, 3), "f4"), 9 * np.ones((2, 3), "f4")
    params = given["make"](0, 5, 3)
    own = sys.modules["jax_carry_swapped"].lstm_step(params, (h, c), x)[0]
    for said in (
        given["step"](params, x, h, c),
        given["step"](params, (h, c), x),
        given["step"](x, h, c, params),
    ):
        assert all(map(np.array_equal, said, own))
