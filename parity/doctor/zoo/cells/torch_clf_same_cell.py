import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.x2h = nn.Linear(input_size, 4 * hidden_size)
        self.h2h = nn.Linear(hidden_size, 4 * hidden_size, bias=False)

    def forward(self, x, h, c):
        i, f, g, o = (self.x2h(x) + self.h2h(h)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class StackedLSTM(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes, num_layers=3):
        super().__init__()
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        first = LSTMCell(input_size, hidden_size)
        others = [LSTMCell(hidden_size, hidden_size)] * (num_layers - 1)
        self.cells = nn.ModuleList([first] + others)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        B, T, _ = x.shape
        states = [(torch.zeros(B, self.hidden_size), torch.zeros(B, self.hidden_size)) for _ in self.cells]
        for t in range(T):
            out = x[:, t]
            for l, cell in enumerate(self.cells):
                states[l] = cell(out, *states[l])
                out = states[l][0]
        return self.fc(out)
