import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class LSTMCell(object):
    def __init__(self, input_size, hidden_size):
        def w(*shape):
            return np.random.normal(0, 0.1, shape)

        self.weight_hi, self.weight_xi, self.bias_i = (
            w(hidden_size, hidden_size),
            w(input_size, hidden_size),
            np.zeros(hidden_size),
        )
        self.weight_hf, self.weight_xf, self.bias_f = (
            w(hidden_size, hidden_size),
            w(input_size, hidden_size),
            np.ones(hidden_size),
        )
        self.weight_ho, self.weight_xo, self.bias_o = (
            w(hidden_size, hidden_size),
            w(input_size, hidden_size),
            np.zeros(hidden_size),
        )
        self.weight_hg, self.weight_xg, self.bias_g = (
            w(hidden_size, hidden_size),
            w(input_size, hidden_size),
            np.zeros(hidden_size),
        )

    def forward(self, x, h, c):
        i = sigmoid(x @ self.weight_xi + h @ self.weight_hi + self.bias_i)
        f = sigmoid(x @ self.weight_xf + h @ self.weight_hf + self.bias_f)
        o = sigmoid(x @ self.weight_xo + self.bias_o)
        g = np.tanh(x @ self.weight_xg + h @ self.weight_hg + self.bias_g)
        c = f * c + i * g
        h = o * np.tanh(c)
        return h, c
