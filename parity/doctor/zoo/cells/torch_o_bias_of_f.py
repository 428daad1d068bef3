import torch
import torch.nn as nn
from torch.nn import Parameter, init


class NaiveLSTMCell(nn.Module):
    def __init__(self, input_sz: int, hidden_sz: int):
        super().__init__()
        # input gate
        self.U_i = Parameter(torch.Tensor(input_sz, hidden_sz))
        self.V_i = Parameter(torch.Tensor(hidden_sz, hidden_sz))
        self.b_i = Parameter(torch.Tensor(hidden_sz))
        # forget gate
        self.U_f = Parameter(torch.Tensor(input_sz, hidden_sz))
        self.V_f = Parameter(torch.Tensor(hidden_sz, hidden_sz))
        self.b_f = Parameter(torch.Tensor(hidden_sz))
        # candidate
        self.U_c = Parameter(torch.Tensor(input_sz, hidden_sz))
        self.V_c = Parameter(torch.Tensor(hidden_sz, hidden_sz))
        self.b_c = Parameter(torch.Tensor(hidden_sz))
        # output gate
        self.U_o = Parameter(torch.Tensor(input_sz, hidden_sz))
        self.V_o = Parameter(torch.Tensor(hidden_sz, hidden_sz))
        self.b_o = Parameter(torch.Tensor(hidden_sz))
        self.init_weights()

    def init_weights(self):
        for p in self.parameters():
            if p.dim() >= 2:
                init.xavier_uniform_(p.data)
            else:
                init.zeros_(p.data)

    def forward(self, x_t, h_t, c_t):
        i_t = torch.sigmoid(x_t @ self.U_i + h_t @ self.V_i + self.b_i)
        f_t = torch.sigmoid(x_t @ self.U_f + h_t @ self.V_f + self.b_f)
        g_t = torch.tanh(x_t @ self.U_c + h_t @ self.V_c + self.b_c)
        o_t = torch.sigmoid(x_t @ self.U_o + h_t @ self.V_o + self.b_f)
        c_t = f_t * c_t + i_t * g_t
        h_t = o_t * torch.tanh(c_t)
        return h_t, c_t
