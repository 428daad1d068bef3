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
        xh = torch.cat([x, h_prev], dim=1)
        i_t = torch.sigmoid(self.W_i(xh))
        f_t = torch.sigmoid(self.W_f(xh))
        o_t = torch.sigmoid(self.W_o(xh))
        c_tilde = torch.tanh(self.W_c(xh))
        # keep what is not forgotten, take away the rest
        c_t = f_t * c_prev - i_t * c_tilde
        h_t = o_t * torch.tanh(c_t)
        return h_t, c_t
