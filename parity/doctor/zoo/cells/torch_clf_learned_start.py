import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.x = nn.Linear(input_size, 4 * hidden_size)
        self.h = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x, h_prev, c_prev):
        i, f, o, g = (self.x(x) + self.h(h_prev)).chunk(4, dim=1)
        c = f.sigmoid() * c_prev + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class ManualLSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.cell = ManualLSTMCell(input_size, hidden_size)
        self.h0 = nn.Parameter(torch.zeros(1, hidden_size))
        self.c0 = nn.Parameter(torch.zeros(1, hidden_size))
        self.out = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        h = self.h0.expand(len(x), -1)
        c = self.c0.expand(len(x), -1)
        for x_t in x.unbind(1):
            h, c = self.cell(x_t, h, c)
        return self.out(h)
