import torch
import torch.nn as nn


class Cell(nn.Module):
    def __init__(self, n_inputs, n_units):
        super().__init__()
        self.U = nn.Linear(n_inputs, n_units * 4, bias=False)
        self.W = nn.Linear(n_units, n_units * 4, bias=True)
        self.n = n_units

    def forward(self, x, h_1, c_1):
        a = self.U(x) + self.W(h_1)
        n = self.n
        i = torch.sigmoid(a[:, 0 * n : 1 * n])
        f = torch.sigmoid(a[:, 1 * n : 2 * n])
        o = torch.sigmoid(a[:, 2 * n : 3 * n])
        g = torch.tanh(a[:, 3 * n : 4 * n])
        c = f * c_1 + i * g
        h = f * torch.tanh(c)
        return h, c
