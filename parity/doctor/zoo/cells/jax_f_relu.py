import jax.numpy as jnp
from jax.nn import relu, sigmoid


def lstm_step(params, x, h, c):
    """One time step. x: (batch, in), h and c: (batch, hid)."""
    W_i, b_i, W_f, b_f, W_o, b_o, W_c, b_c = params
    xh = jnp.concatenate([x, h], axis=1)
    i = sigmoid(xh @ W_i + b_i)
    f = relu(xh @ W_f + b_f)
    o = sigmoid(xh @ W_o + b_o)
    c_tilde = jnp.tanh(xh @ W_c + b_c)
    c = f * c + i * c_tilde
    h = o * jnp.tanh(c)
    return h, c
