import jax
import jax.numpy as jnp
from jax import lax


def cell(params, carry, x):
    h, c = carry
    # gradients flow along c only
    h = lax.stop_gradient(h)
    i, f, o, g = jnp.split(x @ params["U"] + h @ params["W"] + params["b"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h
