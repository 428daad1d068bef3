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
        c = f * c_prev + i * torch.tanh(self.W_c(xh))
        return o * torch.tanh(c), c


class ManualLSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.cell = ManualLSTMCell(input_size, hidden_size)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        # Initialize the hidden state.
        h = torch.randn(x.shape[0], self.hidden_size, device=x.device)
        c = torch.randn(x.shape[0], self.hidden_size, device=x.device)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t, :], h, c)
        return self.fc(h)
