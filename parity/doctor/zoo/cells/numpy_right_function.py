import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def init_params(rng, input_size, hidden_size):
    params = {}
    for g in "ifoc":
        params["W_" + g] = rng.normal(0, 0.1, (hidden_size, hidden_size))
        params["U_" + g] = rng.normal(0, 0.1, (hidden_size, input_size))
        params["b_" + g] = np.zeros(hidden_size)
    return params


def lstm_cell(params, x, h, c):
    p = params
    i = sigmoid(h @ p["W_i"].T + x @ p["U_i"].T + p["b_i"])
    f = sigmoid(h @ p["W_f"].T + x @ p["U_f"].T + p["b_f"])
    o = sigmoid(h @ p["W_o"].T + x @ p["U_o"].T + p["b_o"])
    c_tilde = np.tanh(h @ p["W_c"].T + x @ p["U_c"].T + p["b_c"])
    c_new = f * c + i * c_tilde
    h_new = o * np.tanh(c_new)
    return h_new, c_new
