import numpy as np

sigmoide = lambda z: 1.0 / (1.0 + np.exp(-z))


class CeldaLSTM:
    """Celda LSTM sin librerias."""

    def __init__(self, n_entradas, n_ocultas):
        g = np.random.default_rng(7)
        self.W = {p: g.normal(0, 0.1, (n_ocultas, n_ocultas)) for p in "ifoc"}
        self.U = {p: g.normal(0, 0.1, (n_ocultas, n_entradas)) for p in "ifoc"}
        self.b = {p: np.zeros(n_ocultas) for p in "ifoc"}

    def z(self, p, x, h):
        return h @ self.W[p].T + x @ self.U[p].T + self.b[p]

    def forward(self, x, h, c):
        i, f, o = (sigmoide(self.z(p, x, h)) for p in "ifo")
        c = f * c + i * np.tanh(self.z("c", x, h))
        h = o * np.maximum(0, c)
        return h, c
