import torch
import torch.nn as nn


class LSTMCellManual(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        d = input_size + hidden_size
        self.fc1 = nn.Linear(d, hidden_size)  # input
        self.fc2 = nn.Linear(d, hidden_size)  # forget
        self.fc3 = nn.Sequential(nn.Linear(d, hidden_size), nn.Sigmoid())  # output
        self.fc4 = nn.Linear(d, hidden_size)  # candidate
        self.sigmoid = nn.Sigmoid()
        self.tanh = nn.Tanh()

    def forward(self, x_t, h_t_1, c_t_1):
        xh = torch.cat([x_t, h_t_1], dim=1)
        i_t = self.sigmoid(self.fc1(xh))
        f_t = self.sigmoid(self.fc2(xh))
        o_t = self.sigmoid(self.fc3(xh))
        g_t = self.tanh(self.fc4(xh))
        c_t = f_t * c_t_1 + i_t * g_t
        h_t = o_t * self.tanh(c_t)
        return h_t, c_t
