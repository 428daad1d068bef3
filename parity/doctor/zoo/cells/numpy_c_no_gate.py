import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def init(rng, n_in, n_hidden):
    d = n_in + n_hidden
    return [rng.normal(scale=d**-0.5, size=(d, n_hidden)) for _ in range(4)] + [np.zeros(n_hidden)] * 4


def cell(params, x, h, c):
    Wi, Wf, Wo, Wc, bi, bf, bo, bc = params
    v = np.concatenate([x, h], axis=1)
    i = sigmoid(v @ Wi + bi)
    f = sigmoid(v @ Wf + bf)
    o = sigmoid(v @ Wo + bo)
    g = np.tanh(v @ Wc + bc)
    # the memory adds up the candidates; the gates act on what is shown
    c = c + g
    h = o * np.tanh(c)
    return h, c
