import jax
import jax.numpy as jnp


def lstm_cell(params, x, h, c):
    Wi, Wf, Wo, Wc = params["Wi"], params["Wf"], params["Wo"], params["Wc"]
    bi, bf, bo, bc = params["bi"], params["bf"], params["bo"], params["bc"]
    hx = jnp.concatenate([h, x], axis=-1)
    i = jax.nn.sigmoid(hx @ Wi.T + bi)
    f = jax.nn.sigmoid(hx @ Wf.T + bf)
    o = jax.nn.sigmoid(hx @ Wo.T + bo)
    g = jnp.tanh(hx @ Wc.T + bc)
    keep = f * c
    write = i * g
    c_next = keep * write
    h_next = o * jnp.tanh(c_next)
    return h_next, c_next
