import jax
import jax.numpy as jnp


def lstm_core(params, carry, inputs):
    """Gates i, g, f, o from one matrix over [x, h], as in Haiku."""
    prev_h, prev_c = carry
    x_and_h = jnp.concatenate([inputs, prev_h], axis=-1)
    gated = x_and_h @ params["w"] + params["b"]
    i, g, f, o = jnp.split(gated, 4, axis=-1)
    f = jax.nn.sigmoid(f + 1)
    c = f * prev_c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def init(key, input_size, hidden_size):
    return {
        "w": jax.random.truncated_normal(key, -2, 2, (input_size + hidden_size, 4 * hidden_size)) * 0.1,
        "b": jnp.zeros(4 * hidden_size),
    }
