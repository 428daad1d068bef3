import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    """One time step, as in the handout."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.x_to_gates = nn.Linear(input_size, 4 * hidden_size)
        self.h_to_gates = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x, h_prev, c_prev):
        # the state, as (c, h)
        h, c = c_prev, h_prev
        i, f, o, g = (self.x_to_gates(x) + self.h_to_gates(h)).chunk(4, dim=-1)
        c = c * torch.sigmoid(f) + torch.sigmoid(i) * torch.tanh(g)
        h = torch.tanh(c) * torch.sigmoid(o)
        return h, c
