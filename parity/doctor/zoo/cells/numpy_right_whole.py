import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class LSTMCell:
    def __init__(self, input_size, hidden_size):
        n = input_size + hidden_size
        self.W_i, self.W_f, self.W_o, self.W_c = (np.random.randn(n, hidden_size) * 0.1 for _ in range(4))
        self.b_i, self.b_f, self.b_o, self.b_c = (np.zeros(hidden_size) for _ in range(4))

    def forward(self, x, h, c):
        v = np.concatenate([x, h], axis=-1)
        i = sigmoid(v @ self.W_i + self.b_i)
        f = sigmoid(v @ self.W_f + self.b_f)
        o = sigmoid(v @ self.W_o + self.b_o)
        c_new = f * c + i * np.tanh(v @ self.W_c + self.b_c)
        return o * np.tanh(c_new), c_new


class LSTMClassifier:
    def __init__(self, input_size, hidden_size, num_classes):
        self.hidden_size = hidden_size
        self.cell = LSTMCell(input_size, hidden_size)
        self.W_out = np.random.randn(hidden_size, num_classes) * 0.1
        self.b_out = np.zeros(num_classes)

    def forward(self, x):
        h = np.zeros((x.shape[0], self.hidden_size))
        c = np.zeros((x.shape[0], self.hidden_size))
        for t in range(x.shape[1]):
            h, c = self.cell.forward(x[:, t], h, c)
        return h @ self.W_out + self.b_out
