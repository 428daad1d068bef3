import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        n = input_size + hidden_size
        self.Wi = nn.Parameter(torch.randn(n, hidden_size) * 0.05)
        self.Wf = nn.Parameter(torch.randn(n, hidden_size) * 0.05)
        self.Wo = nn.Parameter(torch.randn(n, hidden_size) * 0.05)
        self.Wc = nn.Parameter(torch.randn(n, hidden_size) * 0.05)
        self.bi = nn.Parameter(torch.zeros(hidden_size))
        self.bf = nn.Parameter(torch.ones(hidden_size))
        self.bo = nn.Parameter(torch.zeros(hidden_size))
        self.bc = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, x, h_prev, c_prev):
        v = torch.cat([h_prev, x], dim=1)
        i = torch.sigmoid(v @ self.Wi + self.bi)
        f = torch.sigmoid(v @ self.Wf + self.bf)
        o = torch.sigmoid(v @ self.Wo + self.bo)
        cbar = torch.tanh(v @ self.Wc + self.bc)
        c = torch.mul(f, c_prev) + torch.mul(i, cbar)
        h = torch.add(o, torch.tanh(c))
        return h, c
