import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm_cell_forward(xt, a_prev, c_prev, parameters):
    """xt (n_x, m), a_prev and c_prev (n_a, m)"""
    concat = np.vstack([a_prev, xt])
    gamma_f = sigmoid(parameters["Wf"] @ concat + parameters["bf"])
    gamma_u = sigmoid(parameters["Wu"] @ concat + parameters["bu"])
    gamma_o = sigmoid(parameters["Wo"] @ concat + parameters["bo"])
    c_hat = np.tanh(parameters["Wc"] @ concat + parameters["bc"])
    c_next = gamma_f * c_prev + gamma_f * c_hat
    a_next = gamma_o * np.tanh(c_next)
    return a_next, c_next
