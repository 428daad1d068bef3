import torch
import torch.nn as nn
import torch.nn.functional as F


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size, dropout=0.25):
        super().__init__()
        self.dropout = dropout
        self.x_gates = nn.Linear(input_size, 4 * hidden_size)
        self.h_gates = nn.Linear(hidden_size, 4 * hidden_size)

    def forward(self, x, hx, cx):
        # regularisation
        hx = F.dropout(hx, self.dropout)
        i, f, g, o = (self.x_gates(x) + self.h_gates(hx)).chunk(4, 1)
        cy = torch.sigmoid(f) * cx + torch.sigmoid(i) * torch.tanh(g)
        hy = torch.sigmoid(o) * torch.tanh(cy)
        return hy, cy
