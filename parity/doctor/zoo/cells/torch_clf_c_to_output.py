import torch
import torch.nn as nn


class Cell(nn.Module):
    def __init__(self, n_in, n_hid):
        super().__init__()
        self.f = nn.Linear(n_in + n_hid, n_hid)
        self.i = nn.Linear(n_in + n_hid, n_hid)
        self.o = nn.Linear(n_in + n_hid, n_hid)
        self.g = nn.Linear(n_in + n_hid, n_hid)

    def forward(self, x, h, c):
        z = torch.cat((x, h), -1)
        c = torch.sigmoid(self.f(z)) * c + torch.sigmoid(self.i(z)) * torch.tanh(self.g(z))
        return torch.sigmoid(self.o(z)) * torch.tanh(c), c


class SequenceClassifier(nn.Module):
    def __init__(self, n_in, n_hid, n_out):
        super().__init__()
        self.n_hid = n_hid
        self.lstm1 = Cell(n_in, n_hid)
        self.linear = nn.Linear(n_hid, n_out)

    def forward(self, input):
        h_t = torch.zeros(input.size(0), self.n_hid)
        c_t = torch.zeros(input.size(0), self.n_hid)
        for input_t in input.chunk(input.size(1), dim=1):
            h_t, c_t = self.lstm1(input_t.squeeze(1), h_t, c_t)
        # c_t is the memory of the whole sequence
        return self.linear(c_t)
