import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    """Step by step: read the memory (output gate), then forget, then write."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.read = nn.Linear(input_size + hidden_size, hidden_size)
        self.forget = nn.Linear(input_size + hidden_size, hidden_size)
        self.write = nn.Linear(input_size + hidden_size, hidden_size)
        self.value = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h, c):
        xh = torch.cat([x, h], dim=1)
        f = torch.sigmoid(self.forget(xh))
        i = torch.sigmoid(self.write(xh))
        o = torch.sigmoid(self.read(xh))
        h = o * torch.tanh(c)
        g = torch.tanh(self.value(torch.cat([x, h], dim=1)))
        c = f * c + i * g
        return h, c
