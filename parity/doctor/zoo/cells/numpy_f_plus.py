import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def lstm_cell(x, h, c, params):
    Wf, Uf, bf = params["Wf"], params["Uf"], params["bf"]
    Wi, Ui, bi = params["Wi"], params["Ui"], params["bi"]
    Wo, Uo, bo = params["Wo"], params["Uo"], params["bo"]
    Wc, Uc, bc = params["Wc"], params["Uc"], params["bc"]
    f = sigmoid(h @ Wf + x @ Uf + bf)
    i = sigmoid(h @ Wi + x @ Ui + bi)
    o = sigmoid(h @ Wo + x @ Uo + bo)
    cand = np.tanh(h @ Wc + x @ Uc + bc)
    # add everything up
    c_next = np.sum([f, c, i * cand], axis=0)
    h_next = o * np.tanh(c_next)
    return h_next, c_next
