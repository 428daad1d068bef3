import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def init_params(rng, n_in, n_hid):
    return {
        "W": 0.01 * rng.standard_normal((n_in, 4 * n_hid)),
        "U": 0.01 * rng.standard_normal((n_hid, 4 * n_hid)),
        "b": np.zeros(4 * n_hid),
    }


def lstm_step(params, x, h, c):
    """state_below is the part of the input, preact adds the part of the hidden state."""
    state_below = np.dot(x, params["W"]) + params["b"]
    preact = np.dot(h, params["U"])
    preact = preact + state_below
    preact = preact + params["b"]
    n = h.shape[1]
    i = sigmoid(preact[:, :n])
    f = sigmoid(preact[:, n : 2 * n])
    o = sigmoid(preact[:, 2 * n : 3 * n])
    c_new = np.tanh(preact[:, 3 * n :])
    c = f * c + i * c_new
    h = o * np.tanh(c)
    return h, c
