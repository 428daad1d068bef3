import jax
import jax.numpy as jnp


def lstm_cell(params, carry, x):
    h, c = carry
    z = x @ params["Wx"] + h @ params["Wh"] + params["b"]
    i, f, o, g = jnp.split(z, 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    # the memory is centred before it is read
    h = jax.nn.sigmoid(o) * jnp.tanh(c - c.mean(axis=0))
    return h, c
