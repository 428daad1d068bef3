import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class LSTMCell:
    def __init__(self, input_size, hidden_size):
        self.H = hidden_size
        self.W = np.random.randn(input_size + hidden_size, 4 * hidden_size) * 0.1
        self.b = np.zeros(4 * hidden_size)

    def forward(self, x, h, c):
        H = self.H
        z = np.concatenate([x, h], axis=-1) @ self.W + self.b
        i = sigmoid(z[:, :H])
        f = sigmoid(z[:, H:2 * H])
        o = sigmoid(z[:, 3 * H:])
        g = np.tanh(z[:, 3 * H:])
        c_next = f * c + i * g
        h_next = o * np.tanh(c_next)
        return h_next, c_next
