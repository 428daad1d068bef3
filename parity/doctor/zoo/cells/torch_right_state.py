import torch
import torch.nn as nn


class CeldaLSTM(nn.Module):
    def __init__(self, n_in, n_hidden):
        super().__init__()
        for g in "ifoc":
            setattr(self, f"W_{g}", nn.Parameter(torch.randn(n_hidden, n_hidden) * 0.1))
            setattr(self, f"U_{g}", nn.Parameter(torch.randn(n_hidden, n_in) * 0.1))
            setattr(self, f"b_{g}", nn.Parameter(torch.zeros(n_hidden)))

    def forward(self, x, state):
        h, c = state
        i = torch.sigmoid(h @ self.W_i.T + x @ self.U_i.T + self.b_i)
        f = torch.sigmoid(h @ self.W_f.T + x @ self.U_f.T + self.b_f)
        o = torch.sigmoid(h @ self.W_o.T + x @ self.U_o.T + self.b_o)
        c_tilde = torch.tanh(h @ self.W_c.T + x @ self.U_c.T + self.b_c)
        c = f * c + i * c_tilde
        h = o * torch.tanh(c)
        return h, c
