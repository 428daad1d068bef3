import numpy as np


def softmax(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class LSTMCell:
    def __init__(self, input_size, hidden_size):
        k = 1 / np.sqrt(hidden_size)
        self.W_ih = np.random.uniform(-k, k, (4 * hidden_size, input_size))
        self.W_hh = np.random.uniform(-k, k, (4 * hidden_size, hidden_size))
        self.b = np.zeros(4 * hidden_size)

    def forward(self, x, h, c):
        z = x @ self.W_ih.T + h @ self.W_hh.T + self.b
        i, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        # the outputs compete with each other
        h = softmax(o) * np.tanh(c)
        return h, c
