import torch
import torch.nn as nn


class Celda(nn.Module):
    # x: entrada (B, I); h: estado oculto (B, H); c: memoria (B, H)
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.Ui = nn.Linear(input_size, hidden_size)
        self.Uf = nn.Linear(input_size, hidden_size)
        self.Uo = nn.Linear(input_size, hidden_size)
        self.Uc = nn.Linear(input_size, hidden_size)
        self.Wi = nn.Linear(hidden_size, hidden_size, bias=False)
        self.Wf = nn.Linear(hidden_size, hidden_size, bias=False)
        self.Wo = nn.Linear(hidden_size, hidden_size, bias=False)
        self.Wc = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, h, c):
        i = torch.sigmoid(self.Ui(x))  # puerta de entrada
        f = torch.sigmoid(self.Uf(x) + self.Wf(h))  # puerta de olvido
        o = torch.sigmoid(self.Uo(x) + self.Wo(h))  # puerta de salida
        cand = torch.relu(self.Uc(x) + self.Wc(h))  # valores nuevos
        c = f * c + i * cand
        h = o * torch.tanh(c)
        return h, c
