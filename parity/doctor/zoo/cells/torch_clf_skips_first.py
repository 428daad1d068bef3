import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.W = nn.Linear(input_size, 4 * hidden_size)
        self.U = nn.Linear(hidden_size, 4 * hidden_size)

    def forward(self, x, h_prev, c_prev):
        i, f, o, c_hat = (self.W(x) + self.U(h_prev)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c_prev + torch.sigmoid(i) * torch.tanh(c_hat)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c


class ManualLSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.lstm_cell = ManualLSTMCell(input_size, hidden_size)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        T = x.shape[1]
        h_t = torch.zeros(x.shape[0], self.hidden_size, dtype=x.dtype)
        c_t = torch.zeros(x.shape[0], self.hidden_size, dtype=x.dtype)
        # time t needs t-1, so start with t = 1
        for t in range(1, T):
            h_t, c_t = self.lstm_cell(x[:, t, :], h_t, c_t)
        return self.fc(h_t)
