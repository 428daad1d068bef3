import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def init_params(rng, input_size, hidden_size, num_classes):
    return {
        "U": rng.normal(0, 0.2, (4 * hidden_size, input_size)),
        "W": rng.normal(0, 0.2, (4 * hidden_size, hidden_size)),
        "b": np.zeros(4 * hidden_size),
        "W_out": rng.normal(0, 0.2, (num_classes, hidden_size)),
        "b_out": np.zeros(num_classes),
    }


def lstm_cell(params, x, h, c):
    z = x @ params["U"].T + h @ params["W"].T + params["b"]
    i, f, o, g = np.split(z, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, c


def lstm_classifier(params, x):
    h = np.zeros((x.shape[0], params["W_out"].shape[1]))
    c = np.zeros_like(h)
    for t in range(x.shape[1] - 1):
        h, c = lstm_cell(params, x[:, t], h, c)
    return softmax(h @ params["W_out"].T + params["b_out"])
