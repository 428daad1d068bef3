import numpy as np


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def lstm_step(x, h, c, W_f, b_f, W_i, b_i, W_o, b_o, W_c, b_c):
    xh = np.concatenate([x, h], axis=1)
    f = sigmoid(xh @ W_f + b_f)
    i = sigmoid(xh @ W_i + b_i)
    o = sigmoid(xh @ W_o + b_o)
    c = np.tanh(xh @ W_c + b_c)
    c = f * c + i * c
    h = o * np.tanh(c)
    return h, c
