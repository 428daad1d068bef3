import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def init_parameters(input_size, hidden_size):
    p = {}
    for gate in ["forget", "input", "output", "cell"]:
        p["W_" + gate] = np.random.randn(hidden_size, hidden_size) * 0.1
        p["U_" + gate] = np.random.randn(hidden_size, input_size) * 0.1
        p["b_" + gate] = np.zeros(hidden_size)
    return p


def lstm_step(params, x, h_prev, c_prev):
    def z(gate):
        return h_prev @ params["W_" + gate].T + x @ params["U_" + gate].T + params["b_" + gate]

    forget = sigmoid(z("forget"))
    new = sigmoid(z("input"))
    out = sigmoid(z("output"))
    cell = np.tanh(z("cell"))
    c = forget * c_prev + new
    h = out * np.tanh(c)
    return h, c
