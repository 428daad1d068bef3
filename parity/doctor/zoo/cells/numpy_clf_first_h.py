import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class LSTMCell:
    def __init__(self, input_size, hidden_size):
        s = 1 / np.sqrt(hidden_size)
        self.Wx = np.random.uniform(-s, s, (input_size, 4 * hidden_size))
        self.Wh = np.random.uniform(-s, s, (hidden_size, 4 * hidden_size))
        self.b = np.zeros(4 * hidden_size)

    def forward(self, x, h, c):
        i, f, o, g = np.split(x @ self.Wx + h @ self.Wh + self.b, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return h, c


class LSTMClassifier:
    def __init__(self, input_size, hidden_size, num_classes):
        self.hidden_size = hidden_size
        self.cell = LSTMCell(input_size, hidden_size)
        self.W_out = np.random.randn(hidden_size, num_classes) * 0.1
        self.b_out = np.zeros(num_classes)

    def forward(self, x):
        B, T, _ = x.shape
        h = np.zeros((B, self.hidden_size))
        c = np.zeros((B, self.hidden_size))
        hs = []
        for t in range(T):
            h, c = self.cell.forward(x[:, t], h, c)
            hs.insert(0, h)
        # the last of the list
        return hs[-1] @ self.W_out + self.b_out
