import numpy as np


def init_params(rng, input_size, hidden_size):
    return {
        g: (rng.normal(size=(input_size + hidden_size, hidden_size)) * 0.1, np.zeros(hidden_size))
        for g in "ifoc"
    }


def lstm_cell(params, x, h, c):
    xh = np.concatenate([x, h], axis=1)
    z = {g: xh @ W + b for g, (W, b) in params.items()}
    i, f, o = sigmoid(z["i"]), sigmoid(z["f"]), sigmoid(z["o"])
    c = f * c + i * np.tanh(z["c"])
    return o * np.tanh(c), c
