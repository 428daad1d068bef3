"""Wrong cells that no fault of the bank explains: called wrong, shown by a call, and not guessed at."""

from pathlib import Path

import numpy as np
import pytest
import torch

from parity.doctor.diagnose import Diagnosis, diagnose

FUSED = """
import torch
from torch import nn


class Cell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.lin = nn.Linear(input_size + hidden_size, 4 * hidden_size)

    def forward(self, x, h, c):
        i, f, o, g = self.lin(torch.cat([x, h], 1)).chunk(4, 1)
        c = {c}
        h = {h}
        return {returned}
"""
Place = tuple[str, int | None]
"""A parameter's name, and which of its numbers; None: its only one."""

RIGHT = {
    "c": "torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)",
    "h": "torch.sigmoid(o) * torch.tanh(c)",
    "returned": "h, c",
}
ODD = "torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g) + 0.3 * torch.cos(c) * torch.sin(c)"

BIAS_AFTER = """
import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, width, hidden_size, act):
        super().__init__()
        self.lin = nn.Linear(width, hidden_size, bias=False)
        self.b = nn.Parameter(torch.zeros(hidden_size))
        self.act = act

    def forward(self, v):
        return self.act(self.lin(v)) + self.b


class Cell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_gate = Gate(input_size + hidden_size, hidden_size, torch.sigmoid)
        self.forget_gate = Gate(input_size + hidden_size, hidden_size, torch.sigmoid)
        self.output_gate = Gate(input_size + hidden_size, hidden_size, torch.sigmoid)
        self.candidate = Gate(input_size + hidden_size, hidden_size, torch.tanh)

    def forward(self, x, h, c):
        v = torch.cat([h, x], 1)
        c = self.forget_gate(v) * c + self.input_gate(v) * self.candidate(v)
        return self.output_gate(v) * torch.tanh(c), c
"""

OFF_BY_ONE = """
import torch
from torch import nn


class Cell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.H = hidden_size
        self.x2g = nn.Linear(input_size, 4 * hidden_size)
        self.h2g = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x, h, c):
        H = self.H
        z = self.x2g(x) + self.h2g(h)
        i = torch.sigmoid(z[:, 0:H])
        f = torch.sigmoid(z[:, H + 1:2 * H + 1])
        g = torch.tanh(z[:, 2 * H:3 * H])
        o = torch.sigmoid(z[:, 3 * H:])
        c = f * c + i * g
        return o * torch.tanh(c), c
"""


def examined(text: str, folder: Path) -> Diagnosis:
    (folder / "cell.py").write_text(text)
    found = diagnose(folder / "cell.py")
    assert (found.verdict, found.faults) == ("wrong", ())
    return found


def returned(
    text: str, given: dict[str, float], biases: dict[str, tuple[str, int | None]]
) -> dict[str, float]:
    """What the text's own cell gives for a counter-example: biases by name and, where fused, place."""
    scope: dict[str, type[torch.nn.Module]] = {}
    exec(text, scope)
    cell = scope["Cell"](1, 1).double()
    parameters = dict(cell.named_parameters())
    with torch.no_grad():
        for tensor in parameters.values():
            tensor.zero_()
        for gate, (name, place) in biases.items():
            parameters[name][place or 0] = given[f"b_{gate}"]
        x, h, c = (torch.full((1, 1), given[n], dtype=torch.float64) for n in "xhc")
        first, second = cell(x, h, c)
    return {"h_t": first.item(), "c_t": second.item()}


def equations(given: dict[str, float]) -> dict[str, float]:
    i, f, o = (1 / (1 + np.exp(-given[f"b_{g}"])) for g in "ifo")
    c = f * given["c"] + i * np.tanh(given["b_c"])
    return {"c_t": c, "h_t": o * np.tanh(c)}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        pytest.param({"c": ODD}, "state", id="c"),
        pytest.param({"h": "torch.sigmoid(o) * torch.tanh(c) + 0.2 * torch.sin(3 * c)"}, "state", id="h"),
        pytest.param({"h": "torch.sigmoid(o + 0.5 * torch.sin(o)) * torch.tanh(c)"}, "o", id="o"),
        pytest.param(
            {"c": "torch.sigmoid(f + 0.5 * torch.sin(f)) * c + torch.sigmoid(i) * torch.tanh(g)"}, "f", id="f"
        ),
    ],
)
def test_the_place_is_that_of_the_change(change: dict[str, str], place: str, tmp_path: Path) -> None:
    assert examined(FUSED.format(**RIGHT | change), tmp_path).leaves_at == place


def test_a_bias_that_is_taken_away_closes_a_gate(tmp_path: Path) -> None:
    odd = "torch.sigmoid(f * (1 + 0.5 * torch.tanh(c))) * c + torch.sigmoid(i) * torch.tanh(g)"
    text = FUSED.format(**RIGHT | {"c": odd})
    text = text.replace("1)).chunk", "1)).sub(2 * self.lin.bias).chunk")
    assert examined(text, tmp_path).leaves_at == "f"


@pytest.mark.parametrize("order", ["h, c", "c, h"])
def test_the_place_under_a_stated_reading(order: str, tmp_path: Path) -> None:
    text = FUSED.format(**RIGHT | {"h": "torch.sigmoid(o.round()) * torch.tanh(c)", "returned": order})
    assert examined(text.replace("x, h, c)", f"x, {order})"), tmp_path).leaves_at == "o"


def test_a_place_is_looked_for_where_numbers_overflow(tmp_path: Path) -> None:
    odd = RIGHT["c"] + " + 1e-30 * torch.exp(c * c)"
    assert examined(FUSED.format(**RIGHT | {"c": odd}), tmp_path).leaves_at == "state"


@pytest.mark.parametrize("order", ["h, c", "c, h"])
def test_its_own_states_are_shown_in_their_order(order: str, tmp_path: Path) -> None:
    text = FUSED.format(**RIGHT | {"c": ODD, "returned": order})
    example = examined(text, tmp_path).unexplained
    assert example
    first, second = returned(text, example.given, {}).values()
    own = {"h_t": first, "c_t": second} if order == "h, c" else {"c_t": first, "h_t": second}
    assert example.got == pytest.approx(own[example.quantity])
    assert example.expected == pytest.approx(equations(example.given)[example.quantity])


@pytest.mark.parametrize(
    ("text", "biases"),
    [
        pytest.param(
            BIAS_AFTER,
            {
                "i": ("input_gate.b", None),
                "f": ("forget_gate.b", None),
                "o": ("output_gate.b", None),
                "c": ("candidate.b", None),
            },
            id="a bias after the activation",
        ),
        pytest.param(
            OFF_BY_ONE,
            {"i": ("x2g.bias", 0), "f": ("x2g.bias", 1), "c": ("x2g.bias", 2), "o": ("x2g.bias", 3)},
            id="a slice off by one",
        ),
    ],
)
def test_biases_prove_what_no_reading_fits(text: str, biases: dict[str, Place], tmp_path: Path) -> None:
    example = examined(text, tmp_path).unexplained
    assert example
    assert example.got == pytest.approx(returned(text, example.given, biases)[example.quantity])
    assert example.expected == pytest.approx(equations(example.given)[example.quantity])
    assert abs(example.expected - example.got) > 0.02
