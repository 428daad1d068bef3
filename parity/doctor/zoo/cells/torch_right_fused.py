import torch
import torch.nn as nn


class FusedLSTMCell(nn.Module):
    """All four gates in one product, in the order i, f, g, o."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.x2h = nn.Linear(input_size, 4 * hidden_size)
        self.h2h = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        k = hidden_size**-0.5
        for p in self.parameters():
            nn.init.uniform_(p, -k, k)

    def forward(self, x, hx, cx):
        i, f, g, o = (self.x2h(x) + self.h2h(hx)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * cx + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
