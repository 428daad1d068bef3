import numpy as np


def hard_sigmoid(z):
    """The activation of the gates (fast, no exp)."""
    return np.clip(0.2 * z + 0.5, 0, 1)


class LSTMCell:
    def __init__(self, input_size, hidden_size, seed=0):
        rng = np.random.default_rng(seed)
        lim = np.sqrt(6 / (input_size + hidden_size))
        # kernels, gate order i f c o
        self.kernel = rng.uniform(-lim, lim, (input_size, 4 * hidden_size))
        self.recurrent_kernel = rng.uniform(-lim, lim, (hidden_size, 4 * hidden_size))
        self.bias = np.zeros(4 * hidden_size)
        self.units = hidden_size

    def step(self, x, h, c):
        z = x @ self.kernel + h @ self.recurrent_kernel + self.bias
        u = self.units
        z0, z1, z2, z3 = z[:, :u], z[:, u : 2 * u], z[:, 2 * u : 3 * u], z[:, 3 * u :]
        i = hard_sigmoid(z0)
        f = hard_sigmoid(z1)
        c = f * c + i * np.tanh(z2)
        o = hard_sigmoid(z3)
        h = o * np.tanh(c)
        return h, c
