import jax
import jax.numpy as jnp


def init_params(key, input_size, hidden_size):
    params = {}
    for g in "ifoc":
        key, k1, k2 = jax.random.split(key, 3)
        params["W_" + g] = jax.random.normal(k1, (hidden_size, hidden_size)) * 0.1
        params["U_" + g] = jax.random.normal(k2, (hidden_size, input_size)) * 0.1
        params["b_" + g] = jnp.zeros(hidden_size)
    return params


def lstm_step(params, carry, x):
    h, c = carry

    def z(g):
        return h @ params["W_" + g].T + x @ params["U_" + g].T + params["b_" + g]

    i, f, o = jax.nn.sigmoid(z("i")), jax.nn.sigmoid(z("f")), jax.nn.sigmoid(z("o"))
    c = f * c + i * jnp.tanh(z("c"))
    h = o * jnp.tanh(c)
    return (h, c), h
