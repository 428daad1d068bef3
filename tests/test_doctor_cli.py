"""python -m parity doctor: options, exit status, what is written, and the README's example."""

import json
import re
from pathlib import Path

import pytest

from parity.doctor.command import main

README = (Path(__file__).parents[1] / "README.md").read_text()
RIGHT = """
import torch
from torch import nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.ih = nn.Linear(input_size, 4 * hidden_size)
        self.hh = nn.Linear(hidden_size, 4 * hidden_size)

    def forward(self, x, h, c):
        {order} = (self.ih(x) + self.hh(h)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
"""


def block(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n```\w*\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


def student(folder: Path, text: str) -> str:
    path = folder / "my_cell.py"
    path.write_text(text)
    return str(path)


def test_the_readme_shows_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    student(tmp_path, block("cell"))
    monkeypatch.chdir(tmp_path)
    assert main(["my_cell.py"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[:-1] == block("diagnosis").splitlines()[:-1]
    assert said[-1].startswith("Compared on ")


def test_a_right_cell_is_0_and_both_reports_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = student(tmp_path, RIGHT.format(order="i, f, g, o"))
    report = tmp_path / "report.md"
    assert main([path, "--json", "-", "--markdown", str(report), "--seed", "3"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["verdict"], said["faults"], said["seed"]) == ("correct", [], 3)
    assert set(said["credit"].values()) == {1.0}
    assert "correct" in report.read_text()


def test_hints_hold_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = student(tmp_path, block("cell"))
    said = []
    for hints in "1234":
        assert main([path, "--hints", hints]) == 1
        said.append(capsys.readouterr().out)
    assert "input gate" not in said[0]
    assert "input gate" in said[1]
    assert "i ⊙ c̃" not in said[1]
    assert "i ⊙ c̃" in said[2]
    assert "line 19" not in said[2]
    assert "line 19" in said[3]


def test_a_file_that_cannot_be_examined_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([student(tmp_path, "import torch\ndef forward(:\n")]) == 2
    assert "line 2" in capsys.readouterr().out
    assert main([str(tmp_path / "none.py")]) == 2


MAP = {
    f"{letter}_{gate}": f"{part}[{n}*H:{n + 1}*H]"
    for n, gate in enumerate("ifco")
    for letter, part in (("W", "hh.weight"), ("U", "ih.weight"))
}


def test_a_map_holds_the_cell_to_its_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, entries = student(tmp_path, RIGHT.format(order="i, f, g, o")), tmp_path / "map.json"
    biases = {
        f"b_{g}": [f"ih.bias[{n}*H:{n + 1}*H]", f"hh.bias[{n}*H:{n + 1}*H]"] for n, g in enumerate("ifco")
    }
    entries.write_text(json.dumps(MAP | biases))
    assert main([path, "--map", str(entries)]) == 0
    # a right LSTM that cuts its fused matrix in another order than the map says
    path = student(tmp_path, RIGHT.format(order="i, o, f, g"))
    assert main([path]) == 0
    assert main([path, "--map", str(entries), "--json", "-"]) == 1
    out = capsys.readouterr().out
    faults = json.loads(out[out.rindex('{\n  "file"') :])["faults"]
    assert {(f["gate"], f["kind"]) for f in faults} == {("f", "feeds-o"), ("o", "feeds-c"), ("c", "feeds-f")}


def test_a_map_shows_a_transposed_matrix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        RIGHT.format(order="i, f, g, o")
        .replace("self.hh(h)", "h @ self.W")
        .replace(
            "self.hh = nn.Linear(hidden_size, 4 * hidden_size)",
            "self.W = nn.Parameter(torch.randn(hidden_size, 4 * hidden_size))",
        )
    )
    path, entries = student(tmp_path, text), tmp_path / "map.json"
    entries.write_text(json.dumps({"W_f": "W[:, H:2H]", "W_i": "W[:, :H].T"}))
    assert main([path, "--map", str(entries), "--json", "-"]) == 1
    faults = json.loads(capsys.readouterr().out)["faults"]
    assert [(f["gate"], f["kind"], f["parameter"]) for f in faults] == [("f", "transposed", "W")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give a Python file"),
        (["--zoo", "cell.py"], "give a Python file"),
        (["--zoo", "--hints", "2", "--json", "x.json"], "--json is about one file"),
        (["cell.py", "--seed", "-1"], "--seed"),
        (["cell.py", "--seconds", "0"], "--seconds"),
        (["cell.py", "--json", "nowhere/x.json"], "--json nowhere/x.json cannot be written"),
        (["cell.py", "--map", "none.json"], "--map none.json cannot be read"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ('{"W_q": "hh.weight"}', "keys of"),
        ("[1]", "keys of"),
        ('{"W_f": 3}', "must be like"),
        ('{"W_f": "nothing"}', "which the cell does not have"),
        ('{"W_f": "hh.weight"}', "must have shape"),
        ('{"W_f": "hh.weight[H:2Q]"}', "not a bound"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(
    entries: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "map.json"
    path.write_text(entries)
    assert main([student(tmp_path, RIGHT.format(order="i, f, g, o")), "--map", str(path)]) == 2
    assert said in capsys.readouterr().err
