"""What stands around a cell, where several layers, or no class of the cell's own, make it less plain."""

from pathlib import Path

import pytest

from parity.doctor.diagnose import diagnose
from parity.doctor.findings import Diagnosis
from parity.doctor.zoo import ZOO

STACK = next(s.path for s in ZOO if s.file == "torch_clf_layers_width.py").read_text()
WIDTH = "ManualLSTMCell(input_size, hidden_size) for k"
RIGHT = STACK.replace(WIDTH, "ManualLSTMCell(hidden_size if k else input_size, hidden_size) for k")
WHOLE = """
import torch
import torch.nn as nn

class LSTM(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes, num_layers=1):
        super().__init__()
        self.H = hidden_size
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.wx = nn.ModuleList([nn.Linear(size, 4 * hidden_size) for size in sizes])
        self.wh = nn.ModuleList([nn.Linear(hidden_size, 4 * hidden_size) for _ in sizes])
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        h = [x.new_zeros(len(x), self.H) for _ in self.wx]
        c = [x.new_zeros(len(x), self.H) for _ in self.wx]
        for z in x.unbind(1):
            for k in range(len(self.wx)):
                i, f, o, g = (self.wx[k](z) + self.wh[k](h[k])).chunk(4, 1)
                c[k] = f.sigmoid() * c[k] + i.sigmoid() * g.tanh()
                h[k] = z = o.sigmoid() * c[k].tanh()
        return self.fc(h[-1])
"""


def of(source: str, folder: Path) -> Diagnosis:
    path = folder / "student.py"
    path.write_text(source)
    return diagnose(path)


def test_layers_are_examined_as_far_as_there_are_several(tmp_path: Path) -> None:
    assert RIGHT != STACK
    found = of(RIGHT, tmp_path)
    assert (found.verdict, found.warnings, found.credit["classifier"]) == ("correct", (), 1.0)
    refuses = RIGHT.replace("self.hidden_size =", "assert num_layers == 1; self.hidden_size =")
    found = of(refuses, tmp_path)
    assert (found.verdict, [w[:22] for w in found.warnings]) == ("correct", ["not examined: 3 layers"])


def test_layers_without_a_cell_of_their_own_are_left(tmp_path: Path) -> None:
    found = of(WHOLE, tmp_path)
    assert (found.verdict, [w[:22] for w in found.warnings]) == ("correct", ["not examined: 3 layers"])


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("self.fc(h[-1])", "self.fc(h[-1].detach())", "detached"),
        ("self.fc(h[-1])", "h[-1] @ self.fc.weight.detach().T + self.fc.bias", "gradient"),
        (
            "return self.fc(h[-1])",
            "y = 1 * h[-1]\n        logits = self.fc(y)\n        y += 1\n        return logits",
            "fails",
        ),
    ],
)
def test_gradients_that_stop_on_the_way(old: str, new: str, kind: str, tmp_path: Path) -> None:
    assert RIGHT.count(old) == 1
    found = of(RIGHT.replace(old, new), tmp_path)
    assert [(f.gate, f.kind) for f in found.faults] == [("classifier", kind)]
    assert (kind == "fails") == ("The backward pass fails" in found.faults[0].explanation)


@pytest.mark.parametrize(
    ("old", "new", "kind", "said"),
    [
        ("self.fc(h[-1])", "self.fc(torch.relu(h[-1]))", "activation-relu-of-h", "relu is applied to h_T"),
        ("z = x[:, t]", "z = x[:, -1]", "same-step", "the last row"),
        ("h = [x.new_zeros(", "h = [x.new_ones(", "start-state", "h starts from ones"),
        ("c = [x.new_zeros(", "c = [x.new_ones(", "start-state", "c starts from ones"),
    ],
)
def test_what_is_done_around_the_cell(old: str, new: str, kind: str, said: str, tmp_path: Path) -> None:
    assert RIGHT.count(old) == 1
    found = of(RIGHT.replace(old, new), tmp_path)
    assert [(f.gate, f.kind) for f in found.faults] == [("classifier", kind)]
    assert said in found.faults[0].explanation


def test_what_a_fault_does_not_explain_is_said(tmp_path: Path) -> None:
    both = RIGHT.replace("self.fc(h[-1])", "self.fc(h[-1] ** 2).squeeze()")
    found = of(both, tmp_path)
    assert (found.verdict, found.explained, found.leaves_at) == ("wrong", False, "classifier")
    assert "classifier" not in found.credit
    assert found.credit["i"] == 1.0


def test_how_a_classifier_calls_a_cell_decides_which_state_is_which(tmp_path: Path) -> None:
    join, call = "combined = torch", "cell(z, h[k], c[k])"
    assert join in RIGHT
    assert call in RIGHT
    exchanged = RIGHT.replace(join, f"h_prev, c_prev = c_prev, h_prev\n        {join}")
    found = of(exchanged, tmp_path)
    said = ("exchanged: c_prev is used as h, and h_prev as c.",)
    assert ([f.kind for f in found.faults], found.warnings) == (["state-swapped"], said)
    found = of(exchanged.replace(call, "cell(z, c[k], h[k])"), tmp_path)
    assert (found.verdict, found.warnings) == ("correct", said)


def test_states_without_names_may_be_taken_in_either_order(tmp_path: Path) -> None:
    cell = RIGHT.split("class ManualLSTMClassifier")[0]
    assert (of(cell, tmp_path).verdict, of(cell, tmp_path).warnings) == ("correct", ())
    other = cell.replace("x, h_prev, c_prev", "x, a, b").replace(
        "combined =", "c_prev, h_prev = a, b; combined ="
    )
    said = ("order: the states are taken as (c, h); the handout's order is (h, c).",)
    assert (of(other, tmp_path).verdict, of(other, tmp_path).warnings) == ("correct", said)
