import torch
from torch import nn, sigmoid, tanh


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.weight_xi = nn.Linear(input_size, hidden_size)
        self.weight_hi = nn.Linear(hidden_size, hidden_size, bias=False)
        self.weight_xf = nn.Linear(input_size, hidden_size)
        self.weight_hf = nn.Linear(hidden_size, hidden_size, bias=False)
        self.weight_xo = nn.Linear(input_size, hidden_size)
        self.weight_ho = nn.Linear(hidden_size, hidden_size, bias=False)
        self.weight_xg = nn.Linear(input_size, hidden_size)
        self.weight_hg = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, input, hx, cx):
        ingate = sigmoid(self.weight_xi(input) + self.weight_hi(hx))
        forgetgate = sigmoid(self.weight_xf(input) + self.weight_hi(hx))
        outgate = sigmoid(self.weight_xo(input) + self.weight_ho(hx))
        cellgate = tanh(self.weight_xg(input) + self.weight_hg(hx))
        cy = forgetgate * cx + ingate * cellgate
        hy = outgate * tanh(cy)
        return hy, cy
