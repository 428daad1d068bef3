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
        z = torch.cat((x, h_prev), dim=1)
        i = self.W_i(z).sigmoid()
        f = self.W_f(z).sigmoid()
        o = self.W_o(z).sigmoid()
        c_tilde = self.W_c(z).tanh()
        # keep part of the past, add part of the new
        c = f * h_prev + i * c_tilde
        h = o * c.tanh()
        return h, c
