import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        H, I = hidden_size, input_size
        mk = lambda *s: nn.Parameter(torch.randn(*s) * 0.1)
        self.W_hi, self.W_xi, self.b_i = mk(H, H), mk(H, I), nn.Parameter(torch.zeros(H))
        self.W_hf, self.W_xf, self.b_f = mk(H, H), mk(H, I), nn.Parameter(torch.zeros(H))
        self.W_ho, self.W_xo, self.b_o = mk(H, H), mk(H, I), nn.Parameter(torch.zeros(H))
        self.W_hc, self.W_xc, self.b_c = mk(H, H), mk(H, I), nn.Parameter(torch.zeros(H))

    def forward(self, x, h, c):
        lin = lambda W, U, b: h.matmul(W.t()) + x.matmul(U.t()) + b
        i = torch.sigmoid(lin(self.W_hi, self.W_xi, self.b_i))
        f = torch.sigmoid(lin(self.W_hf, self.W_xf, self.b_i))
        o = torch.sigmoid(lin(self.W_ho, self.W_xo, self.b_o))
        g = torch.tanh(lin(self.W_hc, self.W_xc, self.b_c))
        c = f * c + i * g
        h = o * c
        return h, c
