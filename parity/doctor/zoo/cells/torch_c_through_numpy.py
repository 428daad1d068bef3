import numpy as np
import torch
import torch.nn as nn


def tanh(z):
    """tanh, written out"""
    z = z.detach().numpy()
    e = np.exp(2 * z)
    return torch.from_numpy((e - 1) / (e + 1))


class LSTMCellFromScratch(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W = nn.ModuleDict({g: nn.Linear(hidden_size, hidden_size) for g in ["i", "f", "o", "c"]})
        self.U = nn.ModuleDict(
            {g: nn.Linear(input_size, hidden_size, bias=False) for g in ["i", "f", "o", "c"]}
        )

    def forward(self, x, h_prev, c_prev):
        z = {g: self.W[g](h_prev) + self.U[g](x) for g in self.W}
        i, f, o = (torch.sigmoid(z[g]) for g in "ifo")
        c = f * c_prev + i * tanh(z["c"])
        h = o * torch.tanh(c)
        return h, c
