import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        I, H = input_size, hidden_size
        # input gate
        self.W_i = nn.Parameter(torch.randn(H, H) * 0.1)
        self.U_i = nn.Parameter(torch.randn(H, I) * 0.1)
        self.b_i = nn.Parameter(torch.zeros(H))
        # forget gate
        self.W_f = nn.Parameter(torch.randn(H, H)) * 0.1
        self.U_f = nn.Parameter(torch.randn(H, I)) * 0.1
        self.b_f = nn.Parameter(torch.zeros(H)) + 1.0
        # output gate
        self.W_o = nn.Parameter(torch.randn(H, H) * 0.1)
        self.U_o = nn.Parameter(torch.randn(H, I) * 0.1)
        self.b_o = nn.Parameter(torch.zeros(H))
        # candidate
        self.W_c = nn.Parameter(torch.randn(H, H) * 0.1)
        self.U_c = nn.Parameter(torch.randn(H, I) * 0.1)
        self.b_c = nn.Parameter(torch.zeros(H))

    def forward(self, x, h_prev, c_prev):
        i = torch.sigmoid(h_prev @ self.W_i.T + x @ self.U_i.T + self.b_i)
        f = torch.sigmoid(h_prev @ self.W_f.T + x @ self.U_f.T + self.b_f)
        o = torch.sigmoid(h_prev @ self.W_o.T + x @ self.U_o.T + self.b_o)
        c_tilde = torch.tanh(h_prev @ self.W_c.T + x @ self.U_c.T + self.b_c)
        c = f * c_prev + i * c_tilde
        h = o * torch.tanh(c)
        return h, c
