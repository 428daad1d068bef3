import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    """W_g: (out, in) = (hidden, hidden), U_g: (out, in) = (hidden, input), like nn.Linear."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        for g in ("i", "f", "o", "c"):
            self.register_parameter("W_" + g, nn.Parameter(torch.empty(hidden_size, hidden_size)))
            self.register_parameter("U_" + g, nn.Parameter(torch.empty(hidden_size, input_size)))
            self.register_parameter("b_" + g, nn.Parameter(torch.zeros(hidden_size)))
            nn.init.orthogonal_(getattr(self, "W_" + g))
            nn.init.xavier_uniform_(getattr(self, "U_" + g))

    def forward(self, x, h_prev, c_prev):
        i = torch.sigmoid(h_prev @ self.W_i + x @ self.U_i.T + self.b_i)
        f = torch.sigmoid(h_prev @ self.W_f + x @ self.U_f.T + self.b_f)
        o = torch.sigmoid(h_prev @ self.W_o + x @ self.U_o.T + self.b_o)
        c_tilde = torch.tanh(h_prev @ self.W_c + x @ self.U_c.T + self.b_c)
        c = f * c_prev + i * c_tilde
        h = o * torch.tanh(c)
        return h, c
