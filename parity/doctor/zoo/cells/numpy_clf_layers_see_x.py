import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Celda:
    def __init__(self, n_in, n_hid):
        self.W = np.random.randn(n_in + n_hid, 4 * n_hid) * 0.1
        self.b = np.zeros(4 * n_hid)

    def __call__(self, x, h, c):
        i, f, o, g = np.split(np.hstack([x, h]) @ self.W + self.b, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c


class Clasificador:
    """Varias capas LSTM y una capa de salida."""

    def __init__(self, input_size, hidden_size, num_classes, num_layers=2):
        self.hidden_size = hidden_size
        self.capas = [Celda(input_size, hidden_size) for _ in range(num_layers)]
        self.V = np.random.randn(hidden_size, num_classes) * 0.1
        self.d = np.zeros(num_classes)

    def forward(self, x):
        B, T, _ = x.shape
        estados = [(np.zeros((B, self.hidden_size)), np.zeros((B, self.hidden_size))) for _ in self.capas]
        for t in range(T):
            for k, capa in enumerate(self.capas):
                estados[k] = capa(x[:, t], *estados[k])
        return estados[-1][0] @ self.V + self.d
