import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.w = nn.Linear(input_size + hidden_size, 4 * hidden_size)

    def forward(self, x, state):
        h, c = state
        i, f, o, g = self.w(torch.cat([x, h], 1)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class TwoLayers(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.lstm1 = LSTMCell(input_size, hidden_size)
        self.lstm2 = LSTMCell(hidden_size, hidden_size)
        self.linear = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        zeros = torch.zeros(x.size(0), self.hidden_size)
        h_t, c_t = zeros, zeros
        h_t2, c_t2 = zeros, zeros
        for t in range(x.size(1)):
            h_t, c_t = self.lstm1(x[:, t], (h_t, c_t))
            h_t2, c_t2 = self.lstm2(c_t, (h_t2, c_t2))
        return self.linear(h_t2)
