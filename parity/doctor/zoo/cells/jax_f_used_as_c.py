import jax
import jax.numpy as jnp


def gates(params, x, h):
    """i, f, o and the candidate"""
    z = x @ params["U"].T + h @ params["W"].T + params["b"]
    zi, zf, zo, zg = jnp.split(z, 4, axis=-1)
    return jax.nn.sigmoid(zi), jnp.tanh(zg), jax.nn.sigmoid(zo), jax.nn.sigmoid(zf)


def lstm_cell(params, x, h, c):
    i, f, o, g = gates(params, x, h)
    c = f * c + i * g
    h = o * jnp.tanh(c)
    return h, c


def init_params(key, input_size, hidden_size):
    k1, k2 = jax.random.split(key)
    return {
        "U": jax.random.normal(k1, (4 * hidden_size, input_size)) * 0.1,
        "W": jax.random.normal(k2, (4 * hidden_size, hidden_size)) * 0.1,
        "b": jnp.zeros(4 * hidden_size),
    }
