import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def initialize_parameters(n_x, n_a, seed=1):
    np.random.seed(seed)
    parameters = {}
    for g in ("f", "i", "c", "o"):
        parameters["W" + g] = np.random.randn(n_a, n_a + n_x)
        parameters["b" + g] = np.zeros((n_a, 1))
    return parameters


def lstm_cell_forward(xt, a_prev, c_prev, parameters):
    n_x, m = xt.shape
    n_a, _ = a_prev.shape
    concat = np.zeros((n_a + n_x, m))
    concat[:n_a, :] = a_prev
    concat[n_a:, :] = xt

    ft = sigmoid(parameters["Wf"] @ concat + parameters["bf"])
    it = sigmoid(parameters["Wi"] @ concat + parameters["bi"])
    cct = np.tanh(parameters["Wc"] @ concat + parameters["bc"])
    c_next = ft * c_prev + it * cct
    ot = sigmoid(parameters["Wo"] @ concat + parameters["bo"])
    a_next = ot * np.tanh(c_next)

    cache = (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt)
    return a_next, c_prev, cache
