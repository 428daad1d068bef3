import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_cell_forward(xt, a_prev, c_prev, parameters):
    """
    Implement a single forward step of the LSTM-cell

    Arguments:
    xt -- input at timestep "t", numpy array of shape (n_x, m)
    a_prev -- hidden state at timestep "t-1", numpy array of shape (n_a, m)
    c_prev -- memory state at timestep "t-1", numpy array of shape (n_a, m)
    parameters -- dictionary with Wf, bf, Wi, bi, Wc, bc, Wo, bo;
                  the W are (n_a, n_a + n_x), the b are (n_a, 1)

    Returns: a_next, c_next, cache
    """
    Wf, bf = parameters["Wf"], parameters["bf"]
    Wi, bi = parameters["Wi"], parameters["bi"]
    Wc, bc = parameters["Wc"], parameters["bc"]
    Wo, bo = parameters["Wo"], parameters["bo"]

    concat = np.concatenate((a_prev, xt), axis=0)
    ft = sigmoid(np.dot(Wf, concat) + bf)
    it = sigmoid(np.dot(Wi, concat) + bi)
    cct = np.tanh(np.dot(Wc, concat) + bc)
    c_next = ft * c_prev + it * cct
    ot = sigmoid(np.dot(Wo, concat) + bo)
    a_next = ot * c_next

    cache = (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters)
    return a_next, c_next, cache
