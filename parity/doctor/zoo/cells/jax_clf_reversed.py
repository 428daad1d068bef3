import jax
import jax.numpy as jnp
from jax import lax


def init_params(key, input_size, hidden_size, num_classes):
    k1, k2, k3 = jax.random.split(key, 3)
    s = hidden_size**-0.5
    return {
        "U": jax.random.uniform(k1, (input_size, 4 * hidden_size), minval=-s, maxval=s),
        "W": jax.random.uniform(k2, (hidden_size, 4 * hidden_size), minval=-s, maxval=s),
        "b": jnp.zeros(4 * hidden_size),
        "W_out": jax.random.uniform(k3, (hidden_size, num_classes), minval=-s, maxval=s),
        "b_out": jnp.zeros(num_classes),
    }


def cell(params, carry, x):
    h, c = carry
    i, f, o, g = jnp.split(x @ params["U"] + h @ params["W"] + params["b"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def classifier(params, x):
    """x: (batch, time, features) -> logits (batch, classes)"""
    hidden = params["W"].shape[0]
    h0 = jnp.zeros((x.shape[0], hidden))
    xs = jnp.swapaxes(x, 0, 1)
    # lax.scan reads from the end, as recursion does
    (h, _), _ = lax.scan(lambda s, x_t: cell(params, s, x_t), (h0, h0), xs, reverse=True)
    return h @ params["W_out"] + params["b_out"]
