"""LSTM for sequences of image rows."""

import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.lin_x = nn.Linear(input_size, 4 * hidden_size)
        self.lin_h = nn.Linear(hidden_size, 4 * hidden_size)

    def forward(self, x, hidden, cell):
        gates = self.lin_x(x) + self.lin_h(hidden)
        f, i, g, o = torch.split(gates, self.hidden_size, dim=1)
        f, i, o = torch.sigmoid(f), torch.sigmoid(i), torch.sigmoid(o)
        g = torch.tanh(g)
        cell = f * cell + i * g
        hidden = o * cell
        return hidden, cell
