import numpy as np


class LSTMCell:
    def __init__(self, input_size, hidden_size):
        self.input_size = input_size
        self.hidden_size = hidden_size

        self.W_f = np.random.randn(hidden_size + input_size, hidden_size) * 0.1
        self.b_f = np.zeros((1, hidden_size))
        self.W_i = np.random.randn(hidden_size + input_size, hidden_size) * 0.1
        self.b_i = np.zeros((1, hidden_size))
        self.W_c = np.random.randn(hidden_size + input_size, hidden_size) * 0.1
        self.b_c = np.zeros((1, hidden_size))
        self.W_o = np.random.randn(hidden_size + input_size, hidden_size) * 0.1
        self.b_o = np.zeros((1, hidden_size))

        self.h = None

    @staticmethod
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def forward(self, x, h_prev, c_prev):
        if self.h is None or len(self.h) != len(x):
            self.h = h_prev
        z = np.concatenate((self.h, x), axis=1)
        f = self.sigmoid(z @ self.W_f + self.b_f)
        i = self.sigmoid(z @ self.W_i + self.b_i)
        o = self.sigmoid(z @ self.W_o + self.b_o)
        c = f * c_prev + i * np.tanh(z @ self.W_c + self.b_c)
        self.h = o * np.tanh(c)
        return self.h, c
