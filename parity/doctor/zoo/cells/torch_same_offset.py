import torch
import torch.nn as nn


class BasicLSTMCell(nn.Module):
    """After the basic cell of tensorflow: gate order i, j, f, o and a forget bias."""

    def __init__(self, input_size, num_units, forget_bias=1.0):
        super().__init__()
        self.forget_bias = forget_bias
        self.kernel = nn.Parameter(torch.empty(input_size + num_units, 4 * num_units))
        self.bias = nn.Parameter(torch.zeros(4 * num_units))
        nn.init.xavier_uniform_(self.kernel)

    def forward(self, inputs, h, c):
        gates = torch.cat([inputs, h], dim=1) @ self.kernel + self.bias
        i, j, f, o = gates.chunk(4, dim=1)
        new_c = c * torch.sigmoid(f + self.forget_bias) + torch.sigmoid(i) * torch.tanh(j)
        new_h = torch.tanh(new_c) * torch.sigmoid(o)
        return new_h, new_c
