import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super(ManualLSTMCell, self).__init__()
        self.hidden_size = hidden_size

        self.linear_i = nn.Linear(input_size + hidden_size, hidden_size)
        self.linear_f = nn.Linear(input_size + hidden_size, hidden_size, bias=False)
        self.linear_o = nn.Linear(input_size + hidden_size, hidden_size)
        self.linear_c = nn.Linear(input_size + hidden_size, hidden_size)
        for layer in (self.linear_i, self.linear_o, self.linear_c):
            nn.init.zeros_(layer.bias)

    def forward(self, x, h_prev, c_prev):
        # Concatenate input and previous hidden state
        combined = torch.cat((x, h_prev), dim=1)

        # Gates
        i_t = torch.sigmoid(self.linear_i(combined))
        f_t = torch.sigmoid(self.linear_f(combined))
        o_t = torch.sigmoid(self.linear_o(combined))
        c_hat = torch.tanh(self.linear_c(combined))

        # New states
        c_t = f_t * c_prev + i_t * c_hat
        h_t = o_t * torch.tanh(c_t)
        return h_t, c_t
