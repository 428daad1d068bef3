import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W_i = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_f = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_o = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_c = nn.Linear(input_size + hidden_size, hidden_size)
        self.c = None

    def forward(self, x, h_prev, c_prev):
        if self.c is None or self.c.shape != c_prev.shape:
            self.c = c_prev
        xh = torch.cat([x, h_prev], dim=1)
        i = torch.sigmoid(self.W_i(xh))
        f = torch.sigmoid(self.W_f(xh))
        o = torch.sigmoid(self.W_o(xh))
        g = torch.tanh(self.W_c(xh))
        self.c = f * self.c + i * g  # the cell keeps its own memory
        h = o * torch.tanh(self.c)
        return h, self.c
