import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.forget = nn.Linear(input_size + hidden_size, hidden_size)
        self.input = nn.Linear(input_size + hidden_size, hidden_size)
        self.candidate = nn.Linear(input_size + hidden_size, hidden_size)
        self.output = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h_prev, c_prev):
        xh = torch.cat((x, h_prev), dim=1)
        f = torch.sigmoid(self.forget(xh))
        i = torch.sigmoid(self.input(xh))
        c = f * c_prev + i * torch.tanh(self.candidate(xh))
        h = torch.sigmoid(self.output(xh)) * torch.tanh(c)
        return h, c


class ManualLSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes, num_layers=1):
        super().__init__()
        self.hidden_size = hidden_size
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.cells = nn.ModuleList([ManualLSTMCell(n, hidden_size) for n in sizes])
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        batch, steps, _ = x.shape
        h = [x.new_zeros(batch, self.hidden_size) for _ in self.cells]
        c = [x.new_zeros(batch, self.hidden_size) for _ in self.cells]
        for t in range(steps):
            below = x[:, t]
            for k, cell in enumerate(self.cells):
                h[k], c[k] = cell(below, h[k], c[k])
                below = h[k]
        return self.fc(h[-1])


def train_step(model, x, y, optimizer, criterion):
    model.train()
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()
