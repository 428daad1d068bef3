import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.n = input_size
        self.W = nn.Linear(input_size + hidden_size, 4 * hidden_size)

    def forward(self, x, h_prev, c_prev):
        n = self.n
        z = self.W(torch.cat([x, h_prev], dim=1))
        i = torch.sigmoid(z[:, :n])
        f = torch.sigmoid(z[:, n : 2 * n])
        o = torch.sigmoid(z[:, 2 * n : 3 * n])
        g = torch.tanh(z[:, 3 * n : 4 * n])
        c = f * c_prev + i * g
        h = o * torch.tanh(c)
        return h, c


if __name__ == "__main__":
    cell = ManualLSTMCell(28, 28)
    h, c = cell(torch.rand(2, 28), torch.zeros(2, 28), torch.zeros(2, 28))
    print(h.shape, c.shape)
