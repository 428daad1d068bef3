import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    def __init__(self, n_in, n_units):
        super().__init__()
        self.lx = nn.Linear(n_in, 4 * n_units)
        self.lh = nn.Linear(n_units, 4 * n_units, bias=False)

    def forward(self, x, h, c):
        a, i, f, o = torch.chunk(self.lx(x) + self.lh(h), 4, dim=1)
        c = torch.sigmoid(i) * torch.tanh(a) + torch.sigmoid(f) * c
        h = torch.sigmoid(o) * torch.tanh(c)
        return c, h
