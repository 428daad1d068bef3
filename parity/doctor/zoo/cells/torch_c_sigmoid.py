import math

import torch
import torch.nn as nn


class FusedLSTMCell(nn.Module):
    """All four gates in one matrix product, which is faster than four of them."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight = nn.Parameter(torch.empty(4 * hidden_size, input_size + hidden_size))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size)) if bias else None
        std = 1.0 / math.sqrt(hidden_size)
        nn.init.uniform_(self.weight, -std, std)

    def forward(self, x, hx, cx):
        z = nn.functional.linear(torch.cat((x, hx), 1), self.weight, self.bias)
        # squash all gates at once
        i, f, o, g = torch.sigmoid(z).split(self.hidden_size, dim=1)
        c = f * cx + i * g
        h = o * torch.tanh(c)
        return h, c
