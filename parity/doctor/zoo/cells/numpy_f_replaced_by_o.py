import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def cell(params, x, h, c):
    """params: Wx (I, 4H), Wh (H, 4H), b (4H,); order i, f, o, g"""
    Wx, Wh, b = params["Wx"], params["Wh"], params["b"]
    H = h.shape[-1]
    a = x.dot(Wx) + h.dot(Wh) + b
    i, f, o = (sigmoid(a[..., k * H : (k + 1) * H]) for k in range(3))
    g = np.tanh(a[..., 3 * H :])
    c_new = o * c + i * g
    h_new = o * np.tanh(c_new)
    return h_new, c_new
