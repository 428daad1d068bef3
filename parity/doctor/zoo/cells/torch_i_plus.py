import torch
from torch import nn


class MyLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.weight_ih = nn.Parameter(torch.randn(4 * hidden_size, input_size) / hidden_size**0.5)
        self.weight_hh = nn.Parameter(torch.randn(4 * hidden_size, hidden_size) / hidden_size**0.5)
        self.bias_ih = nn.Parameter(torch.zeros(4 * hidden_size))
        self.bias_hh = nn.Parameter(torch.zeros(4 * hidden_size))

    def forward(self, inp, state):
        h, c = state
        gates = inp @ self.weight_ih.t() + self.bias_ih + h @ self.weight_hh.t() + self.bias_hh
        in_gate, forget_gate, cell_gate, out_gate = gates.chunk(4, 1)
        # update the memory
        keep = torch.sigmoid(forget_gate) * c
        new = torch.sigmoid(in_gate) + torch.tanh(cell_gate)
        c = keep + new
        h = torch.sigmoid(out_gate) * torch.tanh(c)
        return h, c
