import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.fc = nn.Linear(input_size + hidden_size, 4 * hidden_size)

    def forward(self, x, h, c):
        i, f, o, g = self.fc(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        # no new memory is needed for c
        c.mul_(torch.sigmoid(f)).add_(torch.sigmoid(i) * torch.tanh(g))
        return torch.sigmoid(o) * torch.tanh(c), c
