# Práctica 7 - celda LSTM manual
import torch
from torch import nn
import torch.nn.functional as F


class MiCeldaLSTM(nn.Module):
    def __init__(self, n_in, n_hidden):
        super(MiCeldaLSTM, self).__init__()
        # pesos de la entrada (U) y pesos recurrentes (W)
        self.U_i = nn.Linear(n_in, n_hidden)
        self.W_i = nn.Linear(n_hidden, n_hidden, bias=False)
        self.U_f = nn.Linear(n_in, n_hidden)
        self.W_f = nn.Linear(n_hidden, n_hidden, bias=False)
        self.U_o = nn.Linear(n_in, n_hidden)
        self.W_o = nn.Linear(n_hidden, n_hidden, bias=False)
        self.U_c = nn.Linear(n_in, n_hidden)
        self.W_c = nn.Linear(n_hidden, n_hidden, bias=False)

    def forward(self, x, h_prev, c_prev):
        # puerta de entrada: cuanta informacion nueva dejamos pasar (siempre >= 0)
        i = F.relu(self.U_i(x) + self.W_i(h_prev))
        # puerta de olvido
        f = torch.sigmoid(self.U_f(x) + self.W_f(h_prev))
        # puerta de salida
        o = torch.sigmoid(self.U_o(x) + self.W_o(h_prev))
        # candidato
        c_tilde = torch.tanh(self.U_c(x) + self.W_c(h_prev))
        c = f * c_prev + i * c_tilde
        h = o * torch.tanh(c)
        return h, c


if __name__ == "__main__":
    celda = MiCeldaLSTM(28, 32)
    h, c = torch.zeros(4, 32), torch.zeros(4, 32)
    for _ in range(5):
        h, c = celda(torch.rand(4, 28), h, c)
    print(h.shape)
