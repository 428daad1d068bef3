import torch
import torch.nn as nn


class LSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.gates = nn.ModuleDict(
            {
                "forget": nn.Linear(input_size + hidden_size, hidden_size),
                "input": nn.Linear(input_size + hidden_size, hidden_size),
                "output": nn.Linear(input_size + hidden_size, hidden_size),
                "cand": nn.Linear(input_size + hidden_size, hidden_size),
            }
        )

    def forward(self, x, h, c):
        xh = torch.cat([x, h], dim=1)
        act = {}
        for name, lin in self.gates.items():
            act[name] = torch.tanh(lin(xh)) if name == "cand" else torch.sigmoid(lin(xh))
        c = act["forget"] * c + act["input"] * act["cand"]
        h = torch.tanh(c)
        return h, c
