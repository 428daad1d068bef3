import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_cell_forward(xt, a_prev, c_prev, parameters):
    """Un paso de la celda. xt: (n_x, m); a_prev, c_prev: (n_a, m)."""
    concat = np.concatenate([a_prev, xt])
    ft = sigmoid(np.dot(parameters["Wf"], concat) + parameters["bf"])
    it = sigmoid(np.dot(parameters["Wi"], concat) + parameters["bi"])
    cct = np.tanh(np.dot(parameters["Wc"], concat) + parameters["bc"])
    # memoria: una parte de la anterior y una parte de la nueva
    c_next = ft * a_prev + it * cct
    ot = np.tanh(np.dot(parameters["Wo"], concat) + parameters["bo"])
    a_next = ot * np.tanh(c_next)
    return a_next, c_next
