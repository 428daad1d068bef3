import numpy as np


def sigma(z):
    return np.where(z >= 0, 1 / (1 + np.exp(-np.abs(z))), np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))))


def lstm_cell(params, x, h, c):
    """x (B, I), h (B, H), c (B, H)."""
    i = sigma(h @ params["W_i"].T + x @ params["U_i"].T + params["b_i"])
    f = sigma(h @ params["W_f"].T + x @ params["U_f"].T + params["b_f"])
    o = sigma(h @ params["W_o"].T + x @ params["U_o"].T + params["b_o"])
    c_tilde = np.tanh(h @ params["W_c"].T + x @ params["U_c"].T + params["b_c"])
    c = np.zeros_like(f)
    c = f * c + i * c_tilde
    h = o * np.tanh(c)
    return h, c
