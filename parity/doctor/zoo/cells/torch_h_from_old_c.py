import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.Wf = nn.Linear(hidden_size + input_size, hidden_size)
        self.Wi = nn.Linear(hidden_size + input_size, hidden_size)
        self.Wo = nn.Linear(hidden_size + input_size, hidden_size)
        self.Wc = nn.Linear(hidden_size + input_size, hidden_size)

    def forward(self, x, h, c):
        hx = torch.cat((h, x), dim=1)
        f_t = torch.sigmoid(self.Wf(hx))
        i_t = torch.sigmoid(self.Wi(hx))
        o_t = torch.sigmoid(self.Wo(hx))
        C_tilda = torch.tanh(self.Wc(hx))
        C_t = f_t * c + i_t * C_tilda
        h_t = o_t * torch.tanh(c)
        return h_t, C_t
