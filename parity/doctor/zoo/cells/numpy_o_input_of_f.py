import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def celda_lstm(x, h, c, W_i, U_i, b_i, W_f, U_f, b_f, W_o, U_o, b_o, W_c, U_c, b_c):
    # W: pesos recurrentes (H, H), U: pesos de entrada (H, I)
    i = sigmoid(h @ W_i.T + x @ U_i.T + b_i)
    f = sigmoid(h @ W_f.T + x @ U_f.T + b_f)
    o = sigmoid(h @ W_o.T + x @ U_f.T + b_o)
    c_tilde = np.tanh(h @ W_c.T + x @ U_c.T + b_c)
    c_nuevo = f * c + i * c_tilde
    h_nuevo = o * np.tanh(c_nuevo)
    return h_nuevo, c_nuevo
