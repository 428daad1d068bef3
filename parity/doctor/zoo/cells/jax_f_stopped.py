import jax
import jax.numpy as jnp


def lstm_cell(params, x, h, c):
    """h_t, c_t of the LSTM."""

    def gate(name, act):
        return act(x @ params["U"][name].T + h @ params["W"][name].T + params["b"][name])

    i = gate("i", jax.nn.sigmoid)
    f = gate("f", jax.nn.sigmoid)
    o = gate("o", jax.nn.sigmoid)
    g = gate("c", jnp.tanh)
    c_t = jax.lax.stop_gradient(f) * c + i * g
    return o * jnp.tanh(c_t), c_t


def init(key, input_size, hidden_size):
    ks = jax.random.split(key, 8)
    return {
        "U": {g: jax.random.normal(k, (hidden_size, input_size)) * 0.1 for g, k in zip("ifoc", ks[:4])},
        "W": {g: jax.random.normal(k, (hidden_size, hidden_size)) * 0.1 for g, k in zip("ifoc", ks[4:])},
        "b": {g: jnp.zeros(hidden_size) for g in "ifoc"},
    }
