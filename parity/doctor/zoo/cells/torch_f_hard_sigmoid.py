import torch
import torch.nn as nn
import torch.nn.functional as F


class CustomLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.forget_gate = nn.Linear(hidden_size + input_size, hidden_size)
        self.input_gate = nn.Linear(hidden_size + input_size, hidden_size)
        self.cell_gate = nn.Linear(hidden_size + input_size, hidden_size)
        self.output_gate = nn.Linear(hidden_size + input_size, hidden_size)

    def forward(self, x, h, c):
        hx = torch.cat((h, x), dim=-1)
        # sigmoids
        forget = F.hardsigmoid(self.forget_gate(hx))
        inp = torch.sigmoid(self.input_gate(hx))
        out = torch.sigmoid(self.output_gate(hx))
        cand = torch.tanh(self.cell_gate(hx))

        c = forget * c + inp * cand
        h = out * torch.tanh(c)
        return h, c
