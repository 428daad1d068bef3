import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_cell_forward(xt, a_prev, c_prev, parameters):
    """gamma_f near 1 means: forget. Shapes: xt (n_x, m), a_prev and c_prev (n_a, m)."""
    concat = np.concatenate([a_prev, xt], axis=0)
    gamma_f = sigmoid(np.dot(parameters["Wf"], concat) + parameters["bf"])
    gamma_i = sigmoid(np.dot(parameters["Wi"], concat) + parameters["bi"])
    gamma_o = sigmoid(np.dot(parameters["Wo"], concat) + parameters["bo"])
    cct = np.tanh(np.dot(parameters["Wc"], concat) + parameters["bc"])
    c_next = c_prev - gamma_f * c_prev + gamma_i * cct
    a_next = gamma_o * np.tanh(c_next)
    return a_next, c_next
