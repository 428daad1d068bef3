import jax
import jax.numpy as jnp


def lstm_step(params, carry, x):
    h_prev, c_prev = carry
    z = jnp.concatenate([x, h_prev], axis=-1) @ params["W"] + params["b"]
    i, f, o, g = jnp.split(z, 4, axis=-1)
    c_t = jax.nn.sigmoid(f) * c_prev + jax.nn.sigmoid(i) * jnp.tanh(g)
    h_t = jax.nn.sigmoid(o) * jnp.tanh(c_t)
    return (c_t, h_t), h_t
