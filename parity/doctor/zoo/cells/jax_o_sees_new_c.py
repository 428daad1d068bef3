import jax
import jax.numpy as jnp


def lstm_cell(params, x, h, c):
    h_prev, c_prev = h, c
    z = jnp.concatenate([x, h_prev], -1)
    f = jax.nn.sigmoid(z @ params["forget_w"] + params["forget_b"])
    i = jax.nn.sigmoid(z @ params["input_w"] + params["input_b"])
    g = jnp.tanh(z @ params["cand_w"] + params["cand_b"])
    c = f * c_prev + i * g
    # the output depends on the state of the cell
    z = jnp.concatenate([x, c], -1)
    o = jax.nn.sigmoid(z @ params["output_w"] + params["output_b"])
    h = o * jnp.tanh(c)
    return h, c
