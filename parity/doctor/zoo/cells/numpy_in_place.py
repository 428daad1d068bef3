import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def make_params(rng, I, H):
    return {
        "W": rng.standard_normal((I + H, 4 * H)) / np.sqrt(I + H),
        "b": np.zeros(4 * H),
    }


def lstm_cell(params, x, h, c):
    z = np.concatenate((x, h), axis=1) @ params["W"] + params["b"]
    i, f, o, g = np.split(z, 4, axis=1)
    c *= sigmoid(f)
    c += sigmoid(i) * np.tanh(g)
    h[:] = sigmoid(o) * np.tanh(c)
    return h, c
