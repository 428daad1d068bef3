import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class LSTMCell:
    def __init__(self, input_size, hidden_size):
        rng = np.random.default_rng(3)
        d = input_size + hidden_size
        self.W_input = rng.normal(0, 0.2, (d, hidden_size))
        self.b_input = np.zeros(hidden_size)
        self.W_forget = rng.normal(0, 0.2, (d, hidden_size))
        self.b_forget = np.zeros(hidden_size)
        self.W_output = rng.normal(0, 0.2, (d, hidden_size))
        self.b_output = np.zeros(hidden_size)
        self.W_cell = rng.normal(0, 0.2, (d, hidden_size))
        self.b_cell = np.zeros(hidden_size)

    def forward(self, x, h, c):
        xh = np.hstack([x, h])
        g_in = sigmoid(xh @ self.W_input + self.b_input)
        g_forget = sigmoid(xh @ self.W_forget + self.b_forget)
        g_out = sigmoid(xh @ self.W_output + self.b_output)
        new = np.tanh(xh @ self.W_cell + self.b_cell)
        c = g_out * c + g_in * new
        h = g_forget * np.tanh(c)
        return h, c
