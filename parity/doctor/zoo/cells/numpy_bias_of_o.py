import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class LSTMCell:
    """A single step of an LSTM over the concatenation [A, X]."""

    def __init__(self, n_in, n_out):
        self.n_in, self.n_out = n_in, n_out
        d = n_in + n_out
        self.Wf, self.Wu, self.Wc, self.Wo = (np.random.randn(d, n_out) * 0.1 for _ in range(4))
        self.bf, self.bu, self.bc, self.bo = (np.zeros((1, n_out)) for _ in range(4))

    def forward(self, Xt, A_prev, C_prev):
        Zt = np.hstack([A_prev, Xt])
        Gf = sigmoid(Zt @ self.Wf + self.bo)  # forget
        Gu = sigmoid(Zt @ self.Wu + self.bo)  # update (input)
        Go = sigmoid(Zt @ self.Wo + self.bo)  # output
        Cc = np.tanh(Zt @ self.Wc + self.bc)
        Ct = Gf * C_prev + Gu * Cc
        At = Go * np.tanh(Ct)
        return At, Ct
