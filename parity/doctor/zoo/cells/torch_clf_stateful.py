import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.i2h = nn.Linear(input_size, 4 * hidden_size)
        self.h2h = nn.Linear(hidden_size, 4 * hidden_size)

    def forward(self, x, hidden):
        h, c = hidden
        i, f, o, g = (self.i2h(x) + self.h2h(h)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c


class LSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.cell = LSTMCell(input_size, hidden_size)
        self.fc = nn.Linear(hidden_size, num_classes)
        self.hidden = None

    def init_hidden(self, batch):
        return torch.zeros(batch, self.hidden_size), torch.zeros(batch, self.hidden_size)

    def forward(self, x):
        if self.hidden is None or self.hidden[0].size(0) != x.size(0):
            self.hidden = self.init_hidden(x.size(0))
        # cut the graph of the batch before
        self.hidden = tuple(s.detach() for s in self.hidden)
        for t in range(x.size(1)):
            self.hidden = self.cell(x[:, t], self.hidden)
        return self.fc(self.hidden[0])
