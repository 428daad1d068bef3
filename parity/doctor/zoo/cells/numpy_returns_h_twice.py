import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward_step(params, x, h, c):
    """one step"""
    z = x @ params["Wx"] + h @ params["Wh"] + params["b"]
    n = h.shape[1]
    i = sigmoid(z[:, :n])
    f = sigmoid(z[:, n : 2 * n])
    o = sigmoid(z[:, 2 * n : 3 * n])
    g = np.tanh(z[:, 3 * n :])
    c = f * c + i * g
    h = o * np.tanh(c)
    return h, h
