import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def init_params(rng, input_size, hidden_size):
    p = {}
    for g in "ifoc":
        p["W_" + g] = rng.normal(0, 0.3, (input_size + hidden_size, hidden_size))
        p["b_" + g] = rng.normal(0, 0.3, hidden_size)
    return p


def lstm_cell(params, x, h, c):
    z = np.concatenate([x, h], axis=1)
    i = sigmoid(z @ params["W_i"] + params["b_i"])
    f = sigmoid(z @ params["W_f"] + params["b_f"])
    o = sigmoid(z @ params["W_o"] + params["b_i"])
    g = z @ params["W_c"] + params["b_c"]
    c = f * c + i * g
    return o * np.tanh(c), c
