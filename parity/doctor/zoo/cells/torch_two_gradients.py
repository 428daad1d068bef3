import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W_i = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_f = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_o = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_c = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h_prev, c_prev):
        # truncated back-propagation
        c_prev = c_prev.detach()
        xh = torch.cat([x, h_prev], dim=1)
        i = torch.sigmoid(self.W_i(xh)).detach()
        f = torch.sigmoid(self.W_f(xh))
        o = torch.sigmoid(self.W_o(xh))
        c = f * c_prev + i * torch.tanh(self.W_c(xh))
        h = o * torch.tanh(c)
        return h, c
