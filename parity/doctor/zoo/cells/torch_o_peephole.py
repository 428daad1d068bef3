import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    """LSTM cell. The output gate is computed last, when the new cell state is known."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.gates = nn.Linear(input_size + hidden_size, 3 * hidden_size)
        self.out = nn.Linear(input_size + hidden_size, hidden_size)
        self.w_co = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, x, h, c):
        xh = torch.cat([x, h], 1)
        i, f, g = self.gates(xh).chunk(3, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        o = torch.sigmoid(self.out(xh) + self.w_co * c)
        h = o * torch.tanh(c)
        return h, c
