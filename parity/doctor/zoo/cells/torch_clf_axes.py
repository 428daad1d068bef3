import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    def __init__(self, in_dim, hidden_dim):
        super().__init__()
        self.ih = nn.Linear(in_dim, 4 * hidden_dim)
        self.hh = nn.Linear(hidden_dim, 4 * hidden_dim)

    def forward(self, x, h, c):
        i, f, g, o = (self.ih(x) + self.hh(h)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class Rnn(nn.Module):
    def __init__(self, in_dim, hidden_dim, n_class):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.in_dim = in_dim
        self.cell = LSTMCell(in_dim, hidden_dim)
        self.classifier = nn.Linear(hidden_dim, n_class)

    def forward(self, x):
        batch, seq, _ = x.shape
        # (batch, seq, feature) -> (seq, batch, feature)
        x = x.reshape(seq, batch, self.in_dim)
        h = torch.zeros(batch, self.hidden_dim)
        c = torch.zeros(batch, self.hidden_dim)
        for x_t in x:
            h, c = self.cell(x_t, h, c)
        return self.classifier(h)
