import torch
import torch.nn as nn


class LSTMLayerCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        d = input_size + hidden_size
        self.igate = nn.Linear(d, hidden_size)  # input gate
        self.fgate = nn.Linear(d, hidden_size)  # forget gate
        self.zgate = nn.Linear(d, hidden_size)  # cell input
        self.ogate = nn.Linear(d, hidden_size)  # output gate

    def forward(self, x, h, c):
        xh = torch.cat([x, h], dim=-1)
        i, f, z, o = (
            self.fgate(xh),
            self.igate(xh),
            self.zgate(xh),
            self.ogate(xh),
        )
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(z)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c
