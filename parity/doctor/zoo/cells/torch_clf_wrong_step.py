import torch
import torch.nn as nn


class CeldaLSTM(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.puertas = nn.Linear(input_size + hidden_size, 3 * hidden_size)
        self.cand = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h, c):
        xh = torch.cat([x, h], dim=1)
        i, f, o = torch.sigmoid(self.puertas(xh)).chunk(3, dim=1)
        c = f * c + i * torch.tanh(self.cand(xh))
        return o * torch.tanh(c), c


class ClasificadorLSTM(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.hidden_size = hidden_size
        self.celda = CeldaLSTM(input_size, hidden_size)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        h = torch.zeros(x.size(0), self.hidden_size)
        c = torch.zeros(x.size(0), self.hidden_size)
        estados = [h]
        for t in range(x.size(1)):
            estados.append(h)
            h, c = self.celda(x[:, t], h, c)
        # el ultimo estado oculto de la lista
        return self.fc(estados[-1])
