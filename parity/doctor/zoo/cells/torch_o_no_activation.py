import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    def __init__(self, input_dim, hidden_dim):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.x2h = nn.Linear(input_dim, 4 * hidden_dim)
        self.h2h = nn.Linear(hidden_dim, 4 * hidden_dim)

    def forward(self, inp, state):
        hx, cx = state
        gates = self.x2h(inp) + self.h2h(hx)
        # i, j, f, o as in the tensorflow code (j = new input)
        i, j, f, o = gates.chunk(4, dim=1)
        new_c = cx * torch.sigmoid(f) + torch.sigmoid(i) * torch.tanh(j)
        new_h = torch.tanh(new_c) * o
        return new_h, (new_h, new_c)
