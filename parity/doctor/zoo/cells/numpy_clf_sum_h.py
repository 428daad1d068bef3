import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def init_params(rng, input_size, hidden_size, num_classes):
    d = input_size + hidden_size
    p = {"W_out": rng.normal(0, 0.1, (hidden_size, num_classes)), "b_out": np.zeros(num_classes)}
    for g in "ifoc":
        p["W_" + g] = rng.normal(0, 0.1, (d, hidden_size))
        p["b_" + g] = np.zeros(hidden_size)
    return p


def lstm_cell(params, x, h, c):
    v = np.concatenate([x, h], axis=1)
    i = sigmoid(v @ params["W_i"] + params["b_i"])
    f = sigmoid(v @ params["W_f"] + params["b_f"])
    o = sigmoid(v @ params["W_o"] + params["b_o"])
    c = f * c + i * np.tanh(v @ params["W_c"] + params["b_c"])
    return o * np.tanh(c), c


def classify(params, x):
    """x (B, T, I) -> logits (B, C)"""
    n = params["W_out"].shape[0]
    h, c = np.zeros((len(x), n)), np.zeros((len(x), n))
    total = np.zeros((len(x), n))
    for t in range(x.shape[1]):
        h, c = lstm_cell(params, x[:, t], h, c)
        total += h
    return total @ params["W_out"] + params["b_out"]
