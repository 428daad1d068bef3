import torch
import torch.nn as nn


class LSTM_cell(nn.Module):
    def __init__(self, nin, nhid):
        super().__init__()
        self.ih = nn.Linear(nin, 4 * nhid)
        self.hh = nn.Linear(nhid, 4 * nhid, bias=False)

    def forward(self, x, h_c):
        h, c = h_c
        i, f, o, g = (self.ih(x) + self.hh(h)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = (o.sigmoid() * c).tanh()  # output in (-1, 1)
        return h, c
