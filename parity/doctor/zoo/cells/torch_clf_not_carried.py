import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W_i = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_f = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_o = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_c = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h_prev, c_prev):
        xh = torch.cat([x, h_prev], dim=1)
        i = torch.sigmoid(self.W_i(xh))
        f = torch.sigmoid(self.W_f(xh))
        o = torch.sigmoid(self.W_o(xh))
        g = torch.tanh(self.W_c(xh))
        c = f * c_prev + i * g
        h = o * torch.tanh(c)
        return h, c


class ManualLSTMClassifier(nn.Module):
    """Reads the image row by row."""

    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.lstm = ManualLSTMCell(input_size, hidden_size)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        batch, steps, _ = x.size()
        h0 = torch.zeros(batch, self.hidden_size)
        c0 = torch.zeros(batch, self.hidden_size)
        for t in range(steps):
            h, c = self.lstm(x[:, t], h0, c0)
        return self.fc(h)
