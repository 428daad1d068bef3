"""Correct torch cells written out whole: wrapped ones, helper methods, dtypes, classifiers beside."""

from collections.abc import Iterator

from doctor_cells_text import GATES, Right, mapping

STATE = "h, c = cell(x, h, c)"
PAIR = "h, c = cell(x, (h, c))"


def _fused(order: str, W: str, U: str, b: str) -> str:
    """The weights of a fused cell, its matrices [4 H, …]."""
    rows = {g: f"{order.index(g)} * H:{order.index(g) + 1} * H" for g in GATES}
    return mapping({g: f"(({W})[{rows[g]}], ({U})[{rows[g]}], ({b})[{rows[g]}])" for g in GATES})


def _over_x_h(names: str, bias: str = "p['{}.bias']") -> str:
    """The weights of a cell with one Linear over [x, h] per gate; the names in the order i, f, o, c."""
    text = "(p['{}.weight'][:, I:], p['{}.weight'][:, :I], " + bias + ")"
    return mapping({g: text.replace("{}", name) for g, name in zip(GATES, names.split(), strict=True)})


def _library(prefix: str, end: str = "") -> str:
    """The weights of an nn.LSTMCell or nn.LSTM."""
    W, U = f"p['{prefix}weight_hh{end}']", f"p['{prefix}weight_ih{end}']"
    return _fused("ifco", W, U, f"p['{prefix}bias_ih{end}'] + p['{prefix}bias_hh{end}']")


WRAPPED = """
import torch
from torch import nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.cell = nn.LSTMCell(input_size, hidden_size)

    def forward(self, x, h_prev, c_prev):
        return self.cell(x, (h_prev, c_prev))
"""

WRAPPED_NO_BIAS = """
from torch import nn


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.inner = nn.LSTMCell(input_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        h, c = self.inner(x, state)
        return h, (h, c)
"""

WHOLE_LSTM = """
from torch import nn


class Cell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.rnn = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(self, x, h, c):
        _, (h, c) = self.rnn(x.unsqueeze(1), (h.unsqueeze(0), c.unsqueeze(0)))
        return h.squeeze(0), c.squeeze(0)
"""

SUBCLASS = '''
import torch
from torch import nn


class MyLSTMCell(nn.LSTMCell):
    """The library's parameters, our own step."""

    def forward(self, x, state):
        h, c = state
        gates = x @ self.weight_ih.T + self.bias_ih + h @ self.weight_hh.T + self.bias_hh
        i, f, g, o = gates.chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c
'''

HELPERS = """
import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super(ManualLSTMCell, self).__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.W_f = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_i = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_c = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_o = nn.Linear(input_size + hidden_size, hidden_size)
        self.reset_parameters()

    def reset_parameters(self):
        for name, p in self.named_parameters():
            if name.endswith("weight"):
                nn.init.xavier_uniform_(p)
            else:
                nn.init.zeros_(p)
        nn.init.ones_(self.W_f.bias)

    def forget_gate(self, combined):
        return torch.sigmoid(self.W_f(combined))

    def input_gate(self, combined):
        return torch.sigmoid(self.W_i(combined))

    def output_gate(self, combined):
        return torch.sigmoid(self.W_o(combined))

    def candidate(self, combined):
        return torch.tanh(self.W_c(combined))

    def update_cell(self, combined, c_prev):
        kept = self.forget_gate(combined) * c_prev
        return kept + self.input_gate(combined) * self.candidate(combined)

    def forward(self, x, h_prev, c_prev):
        combined = torch.cat((x, h_prev), dim=1)
        c_t = self.update_cell(combined, c_prev)
        h_t = self.output_gate(combined) * torch.tanh(c_t)
        return h_t, c_t
"""

ONE_HELPER = """
import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        for gate in "ifoc":
            setattr(self, f"W_{gate}", nn.Linear(input_size + hidden_size, hidden_size))

    def _gate(self, name, x, h, activation):
        layer = getattr(self, f"W_{name}")
        return activation(layer(torch.cat([x, h], dim=-1)))

    def forward(self, x, h_prev, c_prev):
        i = self._gate("i", x, h_prev, torch.sigmoid)
        f = self._gate("f", x, h_prev, torch.sigmoid)
        o = self._gate("o", x, h_prev, torch.sigmoid)
        c_tilde = self._gate("c", x, h_prev, torch.tanh)
        c = f * c_prev + i * c_tilde
        return o * torch.tanh(c), c
"""

LOOP = """
import torch
from torch import nn

ACTIVATIONS = {"input": torch.sigmoid, "forget": torch.sigmoid, "cell": torch.tanh, "output": torch.sigmoid}


class LSTMCell(nn.Module):
    def __init__(self, n_in, n_hidden):
        super().__init__()
        bound = n_hidden**-0.5
        for name in ACTIVATIONS:
            self.register_parameter(f"U_{name}", nn.Parameter(torch.randn(n_hidden, n_in) * bound))
            self.register_parameter(f"W_{name}", nn.Parameter(torch.randn(n_hidden, n_hidden) * bound))
            self.register_parameter(f"b_{name}", nn.Parameter(torch.zeros(n_hidden)))

    def forward(self, x, hidden):
        h, c = hidden
        gate = {}
        for name, act in ACTIVATIONS.items():
            U, W, b = (getattr(self, f"{kind}_{name}") for kind in "UWb")
            gate[name] = act(x @ U.T + h @ W.T + b)
        c = gate["forget"] * c + gate["input"] * gate["cell"]
        h = gate["output"] * torch.tanh(c)
        return h, c
"""

TWICE_AS_LARGE = '''
import torch
from torch import nn


class ManualLSTMCell(nn.Module):
    """Double precision by default."""

    def __init__(self, input_size, hidden_size, dtype=torch.float64):
        super().__init__()
        self.W_ih = nn.Linear(input_size, 4 * hidden_size, dtype=dtype)
        self.W_hh = nn.Linear(hidden_size, 4 * hidden_size, bias=False, dtype=dtype)

    def forward(self, x, h_prev, c_prev):
        i, f, o, g = (self.W_ih(x) + self.W_hh(h_prev)).chunk(4, dim=-1)
        c_t = f.sigmoid() * c_prev + i.sigmoid() * g.tanh()
        h_t = o.sigmoid() * c_t.tanh()
        return h_t, c_t
'''

OF_THE_WEIGHTS = """
import torch
from torch import nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_gate = nn.Linear(input_size + hidden_size, hidden_size)
        self.forget_gate = nn.Linear(input_size + hidden_size, hidden_size)
        self.output_gate = nn.Linear(input_size + hidden_size, hidden_size)
        self.candidate = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h_prev, c_prev):
        dtype = self.input_gate.weight.dtype
        x, h_prev, c_prev = x.to(dtype), h_prev.to(dtype), c_prev.to(dtype)
        if x.dim() == 1:
            x = x.unsqueeze(0)
        xh = torch.cat([x, h_prev], dim=1)
        i_t, f_t, o_t = (torch.sigmoid(g(xh)) for g in (self.input_gate, self.forget_gate, self.output_gate))
        c_t = torch.mul(f_t, c_prev) + torch.mul(i_t, torch.tanh(self.candidate(xh)))
        return torch.mul(o_t, torch.tanh(c_t)), c_t
"""

SINGLE = """
import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W_i = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_f = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_o = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_c = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h_prev, c_prev):
        x = x.float()
        xh = torch.cat([x, h_prev.float()], dim=1)
        i_t = torch.sigmoid(self.W_i(xh))
        f_t = torch.sigmoid(self.W_f(xh))
        o_t = torch.sigmoid(self.W_o(xh))
        c_tilde = torch.tanh(self.W_c(xh))
        c_t = f_t * c_prev.float() + i_t * c_tilde
        h_t = o_t * torch.tanh(c_t)
        return h_t, c_t
"""

NAMED_STATE = """
from typing import NamedTuple

import torch
from torch import Tensor, nn


class LSTMState(NamedTuple):
    h: Tensor
    c: Tensor


class LSTMCell(nn.Module):
    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        self.i2h = nn.Linear(input_size, 4 * hidden_size, bias=bias)
        self.h2h = nn.Linear(hidden_size, 4 * hidden_size, bias=bias)

    def forward(self, x: Tensor, state: LSTMState) -> LSTMState:
        h, c = state
        f, i, o, g = torch.chunk(self.i2h(x) + self.h2h(h), 4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return LSTMState(torch.sigmoid(o) * torch.tanh(c), c)
"""

MIXIN = """
import torch
from torch import nn


class RecurrentCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size

    def start(self, batch, like):
        zeros = torch.zeros(batch, self.hidden_size, dtype=like.dtype, device=like.device)
        return zeros, zeros


class LSTMCell(RecurrentCell):
    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        stdv = hidden_size**-0.5
        self.kernel = nn.Parameter(torch.empty(input_size, 4 * hidden_size).uniform_(-stdv, stdv))
        self.recurrent_kernel = nn.Parameter(torch.empty(hidden_size, 4 * hidden_size).uniform_(-stdv, stdv))
        zeros, ones = torch.zeros(hidden_size), torch.ones(hidden_size)
        self.bias = nn.Parameter(torch.cat([zeros, ones, zeros, zeros]))

    def forward(self, x, states=None):
        h, c = states if states is not None else self.start(x.shape[0], x)
        z = torch.addmm(self.bias, x, self.kernel) + h @ self.recurrent_kernel
        H = self.hidden_size
        i, f = torch.sigmoid(z[:, :H]), torch.sigmoid(z[:, H : 2 * H])
        c_bar, o = torch.tanh(z[:, 2 * H : 3 * H]), torch.sigmoid(z[:, 3 * H :])
        c = f * c + i * c_bar
        return o * torch.tanh(c), c
"""

CELL = """
class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W_i = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_f = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_o = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_c = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h_prev, c_prev):
        xh = torch.cat([x, h_prev], dim=1)
        i_t = torch.sigmoid(self.W_i(xh))
        f_t = torch.sigmoid(self.W_f(xh))
        o_t = torch.sigmoid(self.W_o(xh))
        c_tilde = torch.tanh(self.W_c(xh))
        c_t = f_t * c_prev + i_t * c_tilde
        h_t = o_t * torch.tanh(c_t)
        return h_t, c_t
"""

CLASSIFIERS = {
    "a classifier beside it": """
class ManualLSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.cell = ManualLSTMCell(input_size, hidden_size)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        h = x.new_zeros(x.size(0), self.hidden_size)
        c = x.new_zeros(x.size(0), self.hidden_size)
        for t in range(x.size(1)):
            h, c = self.cell(x[:, t, :], h, c)
        return self.fc(h)
""",
    "a classifier that keeps every h": """
class ManualLSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.lstm = ManualLSTMCell(input_size, hidden_size)
        self.out = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        B, T, _ = x.shape
        h = torch.zeros(B, self.hidden_size, device=x.device, dtype=x.dtype)
        c = torch.zeros(B, self.hidden_size, device=x.device, dtype=x.dtype)
        outputs = []
        for x_t in x.unbind(dim=1):
            h, c = self.lstm(x_t, h, c)
            outputs.append(h)
        return self.out(torch.stack(outputs, dim=1)[:, -1])
""",
    "a classifier of several layers": """
class ManualLSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes, num_layers=1):
        super().__init__()
        self.hidden_size, self.num_layers = hidden_size, num_layers
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.cells = nn.ModuleList([ManualLSTMCell(size, hidden_size) for size in sizes])
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        states = [(x.new_zeros(len(x), self.hidden_size),) * 2 for _ in self.cells]
        for t in range(x.shape[1]):
            inp = x[:, t]
            for k, cell in enumerate(self.cells):
                states[k] = cell(inp, *states[k])
                inp = states[k][0]
        return self.fc(states[-1][0])
""",
    "a classifier, a training step and a main program": """
class ManualLSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.cell = ManualLSTMCell(input_size, hidden_size)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        h = torch.zeros(x.shape[0], self.hidden_size).to(x)
        c = torch.zeros_like(h)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], h, c)
        logits = self.fc(h)
        return logits


def train_step(model, x, y, optimizer, criterion):
    model.train()
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


if __name__ == "__main__":
    model = ManualLSTMClassifier(28, 32, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=6e-5)
    x, y = torch.rand(128, 28, 28), torch.randint(10, (128,))
    print(f"Loss: {train_step(model, x, y, optimizer, nn.CrossEntropyLoss()):.4f}")
""",
    "a simple RNN beside it": """
class ManualRNNCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h_prev):
        return torch.tanh(self.W(torch.cat([x, h_prev], dim=1)))
""",
}


def whole_cells() -> Iterator[Right]:
    """Every cell of this file."""
    one = _over_x_h("W_i W_f W_o W_c")
    words = _over_x_h("input_gate forget_gate output_gate candidate")
    names = dict(zip(GATES, ["input", "forget", "output", "cell"], strict=True))
    loop = mapping({g: "(" + ", ".join(f"p['{s}_{name}']" for s in "WUb") + ")" for g, name in names.items()})
    mixin = _fused("ifco", "p['recurrent_kernel'].T", "p['kernel'].T", "p['bias']")
    named = _fused("fioc", "p['h2h.weight']", "p['i2h.weight']", "p['i2h.bias'] + p['h2h.bias']")
    double = _fused("ifoc", "p['W_hh.weight']", "p['W_ih.weight']", "p['W_ih.bias']")
    no_bias = _fused("ifco", "p['inner.weight_hh']", "p['inner.weight_ih']", "np.zeros(4 * H)")
    table = [
        ("nn.LSTMCell wrapped", WRAPPED, "ManualLSTMCell", STATE, _library("cell.")),
        ("nn.LSTMCell wrapped, no bias", WRAPPED_NO_BIAS, "LSTMCell", "_, (h, c) = cell(x, (h, c))", no_bias),
        ("nn.LSTM wrapped, one step", WHOLE_LSTM, "Cell", STATE, _library("rnn.", "_l0")),
        ("a subclass of nn.LSTMCell", SUBCLASS, "MyLSTMCell", PAIR, _library("")),
        ("a method per gate", HELPERS, "ManualLSTMCell", STATE, one),
        ("a helper method and setattr", ONE_HELPER, "ManualLSTMCell", STATE, one),
        ("a loop over the gates", LOOP, "LSTMCell", PAIR, loop),
        ("float64 parameters", TWICE_AS_LARGE, "ManualLSTMCell", STATE, double),
        ("casts to the weights' dtype", OF_THE_WEIGHTS, "ManualLSTMCell", STATE, words),
        ("casts to float32", SINGLE, "ManualLSTMCell", STATE, one),
        ("a NamedTuple state", NAMED_STATE, "LSTMCell", "h, c = cell(x, LSTMState(h, c))", named),
        ("a base class, kernels as Keras names them", MIXIN, "LSTMCell", PAIR, mixin),
    ]
    header = "import torch\nimport torch.nn as nn\n\n"
    table += [
        (style, f"{header}{CELL}\n{text}", "ManualLSTMCell", STATE, one)
        for style, text in CLASSIFIERS.items()
    ]
    for k, (style, source, name, use, weights) in enumerate(table):
        yield Right(
            f"torch-whole-{k:02}",
            "torch",
            source.lstrip("\n"),
            style,
            name,
            f"cell = {name}(I, H)",
            use,
            weights,
            float32=style == "casts to float32",
        )
