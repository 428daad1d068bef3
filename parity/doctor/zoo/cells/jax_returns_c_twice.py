import jax
import jax.numpy as jnp


def lstm_cell(params, carry, x):
    h, c = carry
    x_and_h = jnp.hstack([x, h])
    i = jax.nn.sigmoid(x_and_h @ params["w_i"] + params["b_i"])
    f = jax.nn.sigmoid(x_and_h @ params["w_f"] + params["b_f"])
    o = jax.nn.sigmoid(x_and_h @ params["w_o"] + params["b_o"])
    u = jnp.tanh(x_and_h @ params["w_u"] + params["b_u"])
    c = f * c + i * u
    h = o * jnp.tanh(c)
    return (c, c), h
