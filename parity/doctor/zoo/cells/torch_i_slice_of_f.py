import torch
from torch import nn


class MyLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.H = hidden_size
        self.lin = nn.Linear(input_size + hidden_size, 4 * hidden_size)

    def forward(self, x, h, c):
        H = self.H
        z = self.lin(torch.cat((x, h), dim=-1))
        i = torch.sigmoid(z[:, H:2 * H])
        f = torch.sigmoid(z[:, H:2 * H])
        o = torch.sigmoid(z[:, 2 * H:3 * H])
        g = torch.tanh(z[:, 3 * H:])
        c = f * c + i * g
        h = o * torch.tanh(c)
        return h, c
