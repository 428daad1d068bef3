import numpy as np


def sig(z):
    return 1 / (1 + np.exp(-z))


class Cell:
    """x, h and c are vectors, without a batch axis."""

    def __init__(self, input_size, hidden_size):
        rng = np.random.RandomState(1)
        H, I = hidden_size, input_size
        self.Wf, self.Wi, self.Wo, self.Wc = [rng.randn(H, H) * 0.1 for _ in range(4)]
        self.Uf, self.Ui, self.Uo, self.Uc = [rng.randn(H, I) * 0.1 for _ in range(4)]
        self.bf, self.bi, self.bo, self.bc = [np.zeros(H) for _ in range(4)]

    def step(self, x, h, c):
        f = sig(self.Wf @ (h + c) + self.Uf @ x + self.bf)  # depends on the whole state
        i = sig(self.Wi @ h + self.Ui @ x + self.bi)
        o = sig(self.Wo @ h + self.Uo @ x + self.bo)
        g = np.tanh(self.Wc @ h + self.Uc @ x + self.bc)
        c = f * c + i * g
        h = o * np.tanh(c)
        return h, c
