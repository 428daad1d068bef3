import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class LSTMCell:
    def __init__(self, input_size, hidden_size):
        self.W = np.random.randn(input_size + hidden_size, 4 * hidden_size) * 0.1
        self.b = np.zeros(4 * hidden_size)

    def forward(self, x, h, c):
        z = np.concatenate([x, h], axis=-1) @ self.W + self.b
        i, f, o, g = np.split(z, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return h, c
