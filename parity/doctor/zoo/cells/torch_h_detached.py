import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.Wx = nn.Linear(input_size, 4 * hidden_size)
        self.Wh = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x, h_prev, c_prev):
        # start a new graph, otherwise backward goes through the old batch again
        h_prev = h_prev.detach()
        i, f, o, g = (self.Wx(x) + self.Wh(h_prev)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c_prev + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c
