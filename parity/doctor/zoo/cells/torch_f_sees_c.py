import torch
import torch.nn as nn


class CeldaLSTM(nn.Module):
    def __init__(self, entrada, ocultas):
        super().__init__()
        self.olvido = nn.Linear(entrada + ocultas, ocultas)
        self.ingreso = nn.Linear(entrada + ocultas, ocultas)
        self.salida = nn.Linear(entrada + ocultas, ocultas)
        self.candidato = nn.Linear(entrada + ocultas, ocultas)

    def forward(self, x, h, c):
        # la puerta de olvido decide que parte de la memoria se borra,
        # asi que mira la memoria
        f = torch.sigmoid(self.olvido(torch.cat([x, c], dim=1)))
        xh = torch.cat([x, h], dim=1)
        i = torch.sigmoid(self.ingreso(xh))
        o = torch.sigmoid(self.salida(xh))
        g = torch.tanh(self.candidato(xh))
        c_nuevo = f * c + i * g
        h_nuevo = o * torch.tanh(c_nuevo)
        return h_nuevo, c_nuevo
