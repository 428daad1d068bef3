import torch
import torch.nn as nn


class Cell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.lin = nn.Linear(hidden_size + input_size, 4 * hidden_size)

    def forward(self, x, state):
        h, c = state
        z = self.lin(torch.cat([h, x], dim=1))
        f, i, g, o = torch.split(z, self.hidden_size, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, (h, c)


class Classifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.cell = Cell(input_size, hidden_size)
        self.head = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        h = x.new_zeros(x.size(0), self.hidden_size)
        memory = torch.zeros_like(h)
        for t in range(x.size(1)):
            h, state = self.cell(x[:, t], (h, memory))
        return self.head(h)
