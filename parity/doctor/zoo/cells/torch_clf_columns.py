import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.w = nn.Linear(input_size + hidden_size, 4 * hidden_size)

    def forward(self, x, hc):
        h, c = hc
        f, i, g, o = self.w(torch.cat((x, h), -1)).chunk(4, -1)
        c = c * f.sigmoid() + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class RowByRow(nn.Module):
    """images (batch, 28, 28) -> logits (batch, 10)"""

    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.cell = LSTMCell(input_size, hidden_size)
        self.head = nn.Linear(hidden_size, num_classes)
        self.hidden_size = hidden_size

    def forward(self, images):
        zeros = images.new_zeros(images.size(0), self.hidden_size)
        state = zeros, zeros
        for row in range(images.size(1)):
            state = self.cell(images[..., row], state)
        return self.head(state[0])
