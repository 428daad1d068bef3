"""Evaluating a finished run from the command line, and the figures it prints."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jax_lstm import evaluate, train
from jax_lstm.results import Score, accuracy_line, interval, score


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    arguments = [
        "--dataset",
        "digits",
        "--hidden-size",
        "8",
        "--epochs",
        "2",
        "--devices",
        "2",
        "--quiet",
        "--run-dir",
    ]
    with pytest.MonkeyPatch.context() as patch, jax.numpy_dtype_promotion("standard"):
        patch.setattr(sys, "argv", ["train", *arguments, str(folder)])
        assert train.main() == 0
    return folder


def evaluated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["evaluate", str(folder)])
    return evaluate.main()


def test_it_finds_what_training_found(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    picture = run / "confusion_matrix.png"
    picture.unlink()
    assert evaluated(run, monkeypatch) == 0
    out = capsys.readouterr().out
    summary = json.loads((run / "summary.json").read_text())
    count = f"({summary['test_correct']}/{summary['test_total']} right"
    assert f"Test Accuracy: {summary['test_accuracy']:.2%}  {count}" in out
    per_class = re.findall(r"^ +\d: +[\d.]+%  \((\d+)/(\d+)\)$", out, re.M)
    assert len(per_class) == 10
    assert sum(int(right) for right, _ in per_class) == summary["test_correct"]
    assert sum(int(total) for _, total in per_class) == summary["test_total"]
    assert picture.stat().st_size > 10_000


def test_damaged_weights_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    file = run / "model.safetensors"
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[-9] ^= 4
    file.write_bytes(damaged)
    try:
        assert evaluated(run, monkeypatch) == 2
    finally:
        file.write_bytes(whole)
    assert "model.safetensors" in capsys.readouterr().err


def test_weights_of_another_model_are_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    file = run / "config.json"
    whole = file.read_text()
    file.write_text(whole.replace('"hidden_size": 8', '"hidden_size": 9'))
    try:
        assert evaluated(run, monkeypatch) == 2
    finally:
        file.write_text(whole)
    assert "is of other settings than config.json (hidden_size)" in capsys.readouterr().err


def test_a_folder_without_a_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert evaluated(tmp_path, monkeypatch) == 2
    assert "is not a run folder" in capsys.readouterr().err


def test_score_of_known_logits() -> None:
    logits = np.log([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.5, 0.25]])
    found = score(logits, np.array([0, 2, 1]))
    assert found == Score(pytest.approx(-np.log([0.7, 0.3, 0.5]).mean()), 2, 3)


@pytest.mark.parametrize(
    ("correct", "low", "high"),
    # the closed form of Wilson's interval with z = 1.959964, by hand
    [(9900, 0.987853, 0.991771), (10_000, 0.999616, 1.0), (0, 0.0, 0.000384)],
)
def test_the_interval_is_wilsons(correct: int, low: float, high: float) -> None:
    assert interval(correct, 10_000) == pytest.approx((low, high), abs=1e-6)


def test_the_accuracy_line() -> None:
    line = accuracy_line(Score(0.05, 9900, 10_000))
    assert line == "Test Accuracy: 99.00%  (9,900/10,000 right, 95 % interval 98.79% to 99.18%)"
