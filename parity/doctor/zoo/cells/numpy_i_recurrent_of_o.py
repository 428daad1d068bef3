import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm(x, h, c, params):
    Wxi, Whi, bi, Wxf, Whf, bf, Wxo, Who, bo, Wxc, Whc, bc = params
    i = sigmoid(np.dot(x, Wxi) + np.dot(h, Who) + bi)
    f = sigmoid(np.dot(x, Wxf) + np.dot(h, Whf) + bf)
    o = sigmoid(np.dot(x, Wxo) + np.dot(h, Who) + bo)
    n = np.tanh(np.dot(x, Wxc) + np.dot(h, Whc) + bc)
    c = f * c + i * n
    h = o * np.tanh(c)
    return h, c


def init_params(n_in, n_hid):
    out = []
    for _ in range(4):
        out += [np.random.randn(n_in, n_hid) * 0.1, np.random.randn(n_hid, n_hid) * 0.1, np.zeros(n_hid)]
    return tuple(out)
