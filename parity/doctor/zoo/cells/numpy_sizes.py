import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class LSTMCell:
    def __init__(self, input_size, hidden_size):
        n = hidden_size
        self.W = np.random.randn(4, n, n) * 0.1  # recurrent
        self.U = np.random.randn(4, n, n) * 0.1  # input
        self.b = np.zeros((4, n))

    def step(self, x, h, c):
        i, f, o = (sigmoid(h @ self.W[k].T + x @ self.U[k].T + self.b[k]) for k in range(3))
        g = np.tanh(h @ self.W[3].T + x @ self.U[3].T + self.b[3])
        c = f * c + i * g
        return o * np.tanh(c), c


if __name__ == "__main__":
    cell = LSTMCell(8, 8)
    h = c = np.zeros((1, 8))
    for x in np.random.rand(20, 1, 8):
        h, c = cell.step(x, h, c)
    print(h)
