import torch
import torch.nn as nn


class lstm_cell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super(lstm_cell, self).__init__()
        self.wi = nn.Linear(input_size + hidden_size, hidden_size)
        self.wf = nn.Linear(input_size + hidden_size, hidden_size)
        self.wo = nn.Linear(input_size + hidden_size, hidden_size)
        self.wc = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h, c):
        xh = torch.cat((x, h), 1)
        it = torch.sigmoid(self.wi(xh))
        ft = torch.sigmoid(self.wf(xh))
        ot = torch.sigmoid(self.wo(xh).data)
        ct = torch.tanh(self.wc(xh))
        c = ft * c + it * ct
        h = ot * torch.tanh(c)
        return h, c
