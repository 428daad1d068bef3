import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_gate = nn.Linear(input_size + hidden_size, hidden_size)
        self.forget_gate = nn.Linear(input_size + hidden_size, hidden_size)
        self.output_gate = nn.Linear(input_size + hidden_size, hidden_size)
        self.cell_candidate = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h_prev, c_prev):
        combined = torch.cat([x, h_prev], dim=1)
        i_t = torch.sigmoid(self.input_gate(combined))  # input gate
        f_t = torch.sigmoid(self.input_gate(combined))  # forget gate
        o_t = torch.sigmoid(self.output_gate(combined))  # output gate
        c_tilde = torch.tanh(self.cell_candidate(combined))
        c_t = f_t * c_prev + i_t * c_tilde
        h_t = o_t * torch.tanh(c_t)
        return h_t, c_t
