"""Which line a fault is said to be on, by the source alone; the zoo's tests hold the same end to end."""

from dataclasses import replace

import pytest

from parity.doctor.bank import FAULTS, Change
from parity.doctor.classifier_bank import DETACHED, STATEFUL
from parity.doctor.gradient import CUTS
from parity.doctor.lines import Lines
from parity.doctor.source import Source
from parity.doctor.training_bank import MOVE, NO_BACKWARD

GATES = """
i = torch.sigmoid(self.W_i(z))
f = torch.sigmoid(self.W_f(z))
o = torch.sigmoid(self.W_o(z))
g = torch.tanh(self.W_c(z))
"""
UPDATES = """
c = f * c_prev + i * g
h = o * torch.tanh(c)
"""


def fault(gate: str, kind: str) -> Change:
    return next(c for c in FAULTS if c.name == (gate, kind))


def cell(body: str, before: str = "", inside: str = "") -> Lines:
    lines = [
        "    def forward(self, x, h, c_prev):",
        *(f"        {line}" for line in body.strip().splitlines()),
    ]
    init = ["    def __init__(self):", "        self.size = 1", "        self.h = None"]
    text = "\n".join([*before.splitlines(), "class Cell:", *init, *inside.splitlines(), *lines])
    return Lines(Source(text + "\n        return h, c\n", "Cell"), 1)


def code(lines: Lines, line: int | None) -> str | None:
    return lines.source.lines[line - 1].strip() if line else None


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (fault("f", "replaced-by-i"), "f = torch.sigmoid(self.W_f(z))", "f = torch.sigmoid(self.W_i(z))"),
        (fault("f", "replaced-by-i"), "c = f * c_prev + i * g", "c = i * c_prev + i * g"),
        (fault("o", "replaced-by-f"), "h = o * torch.tanh(c)", "h = f * torch.tanh(c)"),
        (fault("c", "replaced-by-i"), "g = torch.tanh(self.W_c(z))", "g = torch.sigmoid(self.W_i(z))"),
        (fault("i", "coupled"), "i = torch.sigmoid(self.W_i(z))", "i = 1 - f"),
        (fault("i", "coupled"), "c = f * c_prev + i * g", "c = f * c_prev + (1 - f) * g"),
        (fault("i", "activation-tanh"), "i = torch.sigmoid(self.W_i(z))", "i = torch.tanh(self.W_i(z))"),
        (fault("o", "activation-none"), "o = torch.sigmoid(self.W_o(z))", "o = self.W_o(z)"),
        (fault("f", "unused"), "c = f * c_prev + i * g", "c = c_prev + i * g"),
        (fault("o", "unused"), "h = o * torch.tanh(c)", "h = torch.tanh(c)"),
        (CUTS["gate i"], "i = torch.sigmoid(self.W_i(z))", "i = torch.sigmoid(self.W_i(z)).detach()"),
        (CUTS["gate f"], "c = f * c_prev + i * g", "c = f.detach() * c_prev + i * g"),
        (CUTS["squashed"], "h = o * torch.tanh(c)", "h = o * torch.tanh(c.data)"),
    ],
)
def test_a_slip_is_shown_where_it_was_made(change: Change, old: str, new: str) -> None:
    assert old in GATES + UPDATES
    lines = cell((GATES + UPDATES).replace(old, new))
    assert code(lines, lines.of_cell(change)) == new


def test_activations_where_gates_are_used() -> None:
    lines = cell("""
i, f, o, g = self.W(z).chunk(4, 1)
c = f.sigmoid() * c_prev + torch.sigmoid(i) * g
h = torch.sigmoid(o) * torch.tanh(c)
""")
    assert code(lines, lines.of_cell(fault("c", "activation-none"))) == (
        "c = f.sigmoid() * c_prev + torch.sigmoid(i) * g"
    )
    # in helpers, they are not seen where gates are used
    lines = cell("i, f, o, g = self.gates(z)" + UPDATES, inside="    def gates(self, z):\n        return z")
    assert code(lines, lines.of_cell(fault("c", "activation-none"))) == "i, f, o, g = self.gates(z)"


def test_a_gate_without_a_variable_is_in_the_update() -> None:
    body = GATES.replace("g = torch.tanh(self.W_c(z))\n", "") + UPDATES.replace(
        "g", "torch.tanh(self.W_c(z))"
    )
    lines = cell(body)
    assert code(lines, lines.of_cell(fault("c", "activation-relu"))) == (
        "c = f * c_prev + i * torch.tanh(self.W_c(z))"
    )
    # nothing shows where z[3] was computed
    lines = cell(GATES.replace("g = ", "z[3] = ") + UPDATES.replace("g", "z[3]"))
    assert lines.of_cell(fault("c", "activation-relu")) is None


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("h = h.detach()\nc = c_prev.detach()", "c = c_prev.detach()"),
        ("c = lax.stop_gradient(c_prev)\nh = o * c", "c = lax.stop_gradient(c_prev)"),
        ("with torch.no_grad():\n    z = x\nc = f * z", "with torch.no_grad():"),
        # each of two might be the one, and what is kept of h is not c
        ("a = a.detach()\nb = b.detach()\nc = f * z", "c = f * z"),
        ("self.last = h.detach()\nc = f * z", "c = f * z"),
    ],
)
def test_where_a_state_is_cut(body: str, shown: str) -> None:
    lines = cell(body)
    assert code(lines, lines.of_cell(CUTS["c"])) == shown


def test_a_cut_in_a_function_that_is_called() -> None:
    before = "def act(z):\n    return np.tanh(z.detach())\ndef other(z):\n    return z.detach()\n"
    lines = cell("c = f * c_prev + i * act(z)", before)
    assert code(lines, lines.of_cell(CUTS["gate c"])) == "return np.tanh(z.detach())"


def cell_fault(kind: str) -> Change:
    return replace(STATEFUL, gate="state", kind=kind, equation="states", term="LSTM")


def test_what_a_cell_does_to_its_state() -> None:
    lines = cell("""
z = F.dropout(self.lin(x), self.dropout)
if self.training:
    c *= z
c.add_(z)
self.gates = f
h = self.gates * self.h
self.h = h
""")
    shown = {
        kind: code(lines, lines.of_cell(cell_fault(kind))) for kind in ("random", "eval-mode", "in-place")
    }
    assert shown == {
        "random": "z = F.dropout(self.lin(x), self.dropout)",
        "eval-mode": "if self.training:",
        "in-place": "c *= z",
    }
    assert code(lines, lines.of_cell(cell_fault("stateful"))) == "self.h = h"
    assert lines.of_cell(cell_fault("float16")) == lines.definition


def test_what_is_kept_where_that_is_not_plain() -> None:
    lines = cell("self.c = c")
    assert code(lines, lines.of_cell(cell_fault("stateful"))) == "self.c = c"
    lines = cell("self.c = c\nself.i = i")
    assert lines.of_cell(cell_fault("stateful")) == lines.definition


CLASSIFIER = """
class Net:
    def __init__(self):
        self.hidden_size = 3

    def start(self, x):
        return torch.zeros(len(x), 3)

    def forward(self, x):
        h = self.start(x)
        c = self.start(x)
        for t in range(4):
            x_t = x[:, t]
            h, c = self.cell(x_t, h, c)
        return self.fc(h)
"""


def test_the_lines_of_a_classifier() -> None:
    lines = Lines(Source(CLASSIFIER, "Net"), 2)
    swapped = replace(DETACHED, kind="state-swapped")
    start = replace(STATEFUL, kind="start-state")
    shown = [code(lines, lines.of_classifier(change)) for change in (swapped, DETACHED, start)]
    assert shown == ["h, c = self.cell(x_t, h, c)", "for t in range(4):", "h = self.start(x)"]


def test_the_lines_of_a_training_step() -> None:
    text = "def step(opt, loss):\n    loss.backward()\n    opt.step()\n"
    lines = Lines(Source(text, "step"), 1)
    assert [lines.of_training(change) for change in (NO_BACKWARD, MOVE)] == [2, 1]
    lines = Lines(Source(text + "    opt.step()\n", "step"), 1)
    assert lines.of_training(MOVE) == 4


def test_h_may_be_computed_where_it_is_returned() -> None:
    source = Source("def cell(i, f, g, c):\n    c = f * c + i * g\n    return f * np.tanh(c), c\n", "cell")
    assert [Lines(source).state(s) for s in "ch"] == [2, 3]
    assert Lines(source).of_cell(fault("o", "replaced-by-f")) == 3
