import torch
import torch.nn as nn


class EinsumLSTMCell(nn.Module):
    """U: [4, H, I], W: [4, H, H], b: [4, H]; gate order i, f, o, c."""

    def __init__(self, I, H):
        super().__init__()
        k = H**-0.5
        self.U = nn.Parameter(torch.empty(4, H, I).uniform_(-k, k))
        self.W = nn.Parameter(torch.empty(4, H, H).uniform_(-k, k))
        self.b = nn.Parameter(torch.zeros(4, H))

    def forward(self, x, h, c):
        z = torch.einsum("ghi,bi->gbh", self.U, x) + torch.einsum("ghk,bk->gbh", self.W, h)
        z = z + self.b[:, None, :]
        # the input gate decides which of the units are written: they sum to one
        i = torch.softmax(z[0], dim=-1)
        f = torch.sigmoid(z[1])
        o = torch.sigmoid(z[2])
        c_tilde = torch.tanh(z[3])
        c = f * c + i * c_tilde
        return o * torch.tanh(c), c
