import torch
from torch import nn


class LSTMCell(nn.Module):
    def __init__(self, ni, nh):
        super().__init__()
        self.forget = nn.Linear(ni + nh, nh)
        self.inp = nn.Linear(ni + nh, nh)
        self.cell = nn.Linear(ni + nh, nh)
        self.out = nn.Linear(ni + nh, nh)

    def forward(self, x, state):
        h, c = state
        # put both side by side
        z = torch.stack([h, x], dim=1)
        c = c * torch.sigmoid(self.forget(z))
        c = c + torch.sigmoid(self.inp(z)) * torch.tanh(self.cell(z))
        h = torch.sigmoid(self.out(z)) * torch.tanh(c)
        return h, (h, c)
