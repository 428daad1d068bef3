import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    """x: (batch, input_size). h and c come with the layer axis first, like in nn.LSTM."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.w_ih = nn.Linear(input_size, 4 * hidden_size)
        self.w_hh = nn.Linear(hidden_size, 4 * hidden_size)

    def forward(self, x, h_prev, c_prev):
        h0 = h_prev[0]
        i, f, o, g = (self.w_ih(x) + self.w_hh(h0)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c_prev + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c
