import torch
import torch.nn as nn

# weights: weight_h* for the hidden state, weight_x* for the input


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        H = hidden_size
        for g in "ifoc":
            setattr(self, "weight_h" + g, nn.Parameter(torch.randn(H, H) * 0.1))
            setattr(self, "weight_x" + g, nn.Parameter(torch.randn(H, input_size) * 0.1))
            setattr(self, "bias_" + g, nn.Parameter(torch.zeros(H)))

    def gate(self, g, x, h):
        W, U, b = getattr(self, "weight_h" + g), getattr(self, "weight_x" + g), getattr(self, "bias_" + g)
        return h @ W.T + x @ U.T + b

    def forward(self, x, h, c):
        i = torch.sigmoid(self.gate("i", x, h))
        f = torch.sigmoid(self.gate("f", x, h))
        o = torch.sigmoid(self.gate("o", x, h))
        # candidate in [-1, 1]
        g = self.gate("c", x, h).clamp(-1, 1)
        c = f * c + i * g
        h = o * torch.tanh(c)
        return h, c
