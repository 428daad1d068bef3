import jax
import jax.numpy as jnp


def init_params(key, input_size, hidden_size):
    k1, k2 = jax.random.split(key)
    s = hidden_size**-0.5
    return {
        "U": jax.random.uniform(k1, (input_size, 4 * hidden_size), minval=-s, maxval=s),
        "W": jax.random.uniform(k2, (hidden_size, 4 * hidden_size), minval=-s, maxval=s),
        "b": jnp.zeros(4 * hidden_size),
    }


def lstm_cell(params, carry, x):
    h, c = carry
    z = x @ params["U"] + h @ params["W"] + params["b"]
    i, f, o, g = jnp.split(z, 4, axis=-1)
    c_new = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h_new = jax.nn.sigmoid(o) * jnp.tanh(c_new)
    return (h_new, c_new), h
