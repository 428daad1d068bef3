import jax
import jax.numpy as jnp


def lstm_cell(params, x, h, c):
    i = jax.nn.sigmoid(x @ params["Ui"].T + h @ params["Wi"].T + params["bi"])
    # forget gate: 1 = forget everything, 0 = keep everything
    f = jax.nn.sigmoid(x @ params["Uf"].T + h @ params["Wf"].T + params["bf"])
    o = jax.nn.sigmoid(x @ params["Uo"].T + h @ params["Wo"].T + params["bo"])
    g = jnp.tanh(x @ params["Ug"].T + h @ params["Wg"].T + params["bg"])
    c = (1 - f) * c + i * g
    h = o * jnp.tanh(c)
    return h, c
