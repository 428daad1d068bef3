import numpy as np


class Sigmoid:
    def __call__(self, z):
        return 1 / (1 + np.exp(-z))


class LSTM:
    """One step of an LSTM. Weights are (4, hidden, input + hidden)."""

    def __init__(self, input_dim, hidden_dim):
        self.s = Sigmoid()
        scale = 1 / np.sqrt(hidden_dim)
        self.weights = np.random.uniform(-scale, scale, (4, hidden_dim, input_dim + hidden_dim))
        self.biases = np.zeros((4, hidden_dim))

    def __call__(self, x, h, c):
        xh = np.concatenate([x, h], axis=-1)
        pre = np.einsum("gho,bo->gbh", self.weights, xh) + self.biases[:, None]
        forget, write, out = self.s(pre[0]), self.s(pre[1]), self.s(pre[2])
        cand = np.tanh(pre[3])
        c = forget * c
        c = c + cand
        h = out * np.tanh(c)
        return h, c
