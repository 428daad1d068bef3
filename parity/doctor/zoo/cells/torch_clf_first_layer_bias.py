import torch
import torch.nn as nn


class ManualLSTMCell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.W_i = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_f = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_o = nn.Linear(input_size + hidden_size, hidden_size)
        self.W_c = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h_prev, c_prev):
        xh = torch.cat([x, h_prev], dim=1)
        i = torch.sigmoid(self.W_i(xh))
        f = torch.sigmoid(self.W_f(xh))
        o = torch.sigmoid(self.W_o(xh))
        c = f * c_prev + i * torch.tanh(self.W_c(xh))
        return o * torch.tanh(c), c


class ManualLSTMClassifier(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes, num_layers=2):
        super().__init__()
        self.hidden_size = hidden_size
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.layers = nn.ModuleList(ManualLSTMCell(n, hidden_size) for n in sizes)
        self.fc = nn.Linear(hidden_size, num_classes)
        self.reset_parameters()

    def reset_parameters(self):
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(p)
        # remember by default
        nn.init.ones_(self.layers[0].W_f.bias)

    def forward(self, x):
        h = [torch.zeros(x.size(0), self.hidden_size) for _ in self.layers]
        c = [torch.zeros(x.size(0), self.hidden_size) for _ in self.layers]
        for t in range(x.size(1)):
            inp = x[:, t]
            for k, layer in enumerate(self.layers):
                h[k], c[k] = layer(inp, h[k], c[k])
                inp = h[k]
        return self.fc(h[-1])
