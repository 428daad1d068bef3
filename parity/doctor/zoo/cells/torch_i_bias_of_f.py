import torch
import torch.nn as nn


class Cell(nn.Module):
    # 0 input, 1 forget, 2 output, 3 candidate
    def __init__(self, n_in, n_hid):
        super().__init__()
        self.K = nn.ParameterList([nn.Parameter(torch.randn(n_in + n_hid, n_hid) * 0.1) for _ in range(4)])
        self.B = nn.ParameterList([nn.Parameter(torch.zeros(n_hid)) for _ in range(4)])

    def forward(self, x, h, c):
        v = torch.cat([x, h], 1)
        p = torch.sigmoid(v @ self.K[0] + self.B[1])
        q = torch.sigmoid(v @ self.K[1] + self.B[1])
        r = torch.sigmoid(v @ self.K[2] + self.B[2])
        s = torch.tanh(v @ self.K[3] + self.B[3])
        c2 = q * c + p * s
        return r * torch.tanh(c2), c2
