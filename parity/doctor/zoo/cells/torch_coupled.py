import torch
import torch.nn as nn


class TaggerLSTMCell(nn.Module):
    def __init__(self, input_dim, hidden_dim):
        super().__init__()
        self.igate = nn.Linear(input_dim + hidden_dim, hidden_dim)
        self.fgate = nn.Linear(input_dim + hidden_dim, hidden_dim)
        self.ogate = nn.Linear(input_dim + hidden_dim, hidden_dim)
        self.cand = nn.Linear(input_dim + hidden_dim, hidden_dim)

    def forward(self, x, h, c):
        z = torch.cat([x, h], dim=-1)
        i = torch.sigmoid(self.igate(z))
        # what is not written is kept
        f = 1 - i
        o = torch.sigmoid(self.ogate(z))
        new_c = f * c + i * torch.tanh(self.cand(z))
        return o * torch.tanh(new_c), new_c
