import torch
from torch import nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.U = nn.Linear(input_size, 4 * hidden_size)

    def forward(self, x, h_prev, c_prev):
        i, f, o, g = (self.W(h_prev) + self.U(x)).split(h_prev.size(1), dim=1)
        c = torch.sigmoid(f) * c_prev + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class ManualLSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.lstm = ManualLSTMCell(input_size, hidden_size)
        self.out = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        # as nn.LSTM has it
        seq_len, batch, _ = x.shape
        h = torch.zeros(batch, self.hidden_size)
        c = torch.zeros(batch, self.hidden_size)
        for t in range(seq_len):
            h, c = self.lstm(x[:, t], h, c)
        return self.out(h)


if __name__ == "__main__":
    # 28 images of 28 rows: it runs
    print(ManualLSTMClassifier(28, 64, 10)(torch.rand(28, 28, 28)).shape)
