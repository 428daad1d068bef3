import jax
import jax.numpy as jnp


def cell(params, carry, x):
    h, s = carry
    gates = x @ params["kernel_x"] + h @ params["kernel_h"] + params["bias"]
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    i, f, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o)
    # tanh keeps the state from growing
    s = jnp.tanh(jnp.tanh(g) * i + s * f)
    h = s * o
    return (h, s), h
