import jax
import jax.numpy as jnp


def init_params(key, features, hidden):
    k1, k2 = jax.random.split(key)
    return {
        "kernel": jax.nn.initializers.lecun_normal()(k1, (features, 4 * hidden)),
        "recurrent": jax.nn.initializers.orthogonal()(k2, (hidden, 4 * hidden)),
        "bias": jnp.zeros(4 * hidden),
    }


def cell(params, carry, x):
    c, h = carry
    i, f, g, o = jnp.split(x @ params["kernel"] + h @ params["recurrent"] + params["bias"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (c, h), h
