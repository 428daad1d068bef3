import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    """Same layout as nn.LSTMCell: the gates are stacked in weight_ih and weight_hh."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_size))
        for p in self.parameters():
            nn.init.uniform_(p, -(hidden_size**-0.5), hidden_size**-0.5)

    def forward(self, x, state):
        hx, cx = state
        n = self.hidden_size
        z = x @ self.weight_ih.T + self.bias_ih + hx @ self.weight_hh.T + self.bias_hh
        # three sigmoids and one tanh
        acts = torch.cat([torch.sigmoid(z[:, : 3 * n]), torch.tanh(z[:, 3 * n :])], dim=1)
        i, f, g, o = acts.chunk(4, dim=1)
        cy = f * cx + i * g
        hy = o * torch.tanh(cy)
        return hy, cy
