import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        # gates[0] input, gates[1] forget, gates[2] output, gates[3] candidate
        self.gates = [nn.Linear(input_size + hidden_size, hidden_size) for _ in range(4)]

    def forward(self, x, h, c):
        xh = torch.cat([x, h], dim=1)
        i, f, o = [torch.sigmoid(g(xh)) for g in self.gates[:3]]
        c = f * c + i * torch.tanh(self.gates[3](xh))
        return o * torch.tanh(c), c


if __name__ == "__main__":
    cell = LSTMCell(28, 64)
    out = nn.Linear(64, 10)
    opt = torch.optim.Adam(list(cell.parameters()) + list(out.parameters()), lr=1e-3)
    x, y = torch.rand(8, 28, 28), torch.randint(0, 10, (8,))
    for step in range(20):
        h = c = torch.zeros(8, 64)
        for t in range(28):
            h, c = cell(x[:, t], h, c)
        loss = nn.functional.cross_entropy(out(h), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        print(step, loss.item())
