import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm_cell(params, x, h, c):
    hx = np.column_stack([h, x])
    f = sigmoid(hx @ params["Wf"] + params["bf"])
    i = sigmoid(hx @ params["Wi"] + params["bi"])
    o = sigmoid(hx @ params["Wo"] + params["bo"])
    g = np.tanh(hx @ params["Wg"] + params["bg"])
    c = f * c + i * g
    h_t = o * np.tanh(c)
    return h, c
