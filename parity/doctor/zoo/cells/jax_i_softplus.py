import jax
import jax.numpy as jnp


def init_params(key, input_size, hidden_size):
    k1, k2 = jax.random.split(key)
    s = 1 / jnp.sqrt(hidden_size)
    return {
        "U": jax.random.uniform(k1, (4 * hidden_size, input_size), minval=-s, maxval=s),
        "W": jax.random.uniform(k2, (4 * hidden_size, hidden_size), minval=-s, maxval=s),
        "b": jnp.zeros((4 * hidden_size,)),
    }


def lstm_cell(params, carry, x):
    h, c = carry
    z = x @ params["U"].T + h @ params["W"].T + params["b"]
    zi, zf, zo, zc = jnp.split(z, 4, axis=-1)
    # how much is written: any positive number
    i = jax.nn.softplus(zi)
    f = jax.nn.sigmoid(zf)
    o = jax.nn.sigmoid(zo)
    c = f * c + i * jnp.tanh(zc)
    h = o * jnp.tanh(c)
    return (h, c), h
