import jax
import jax.numpy as jnp


def lstm_cell(params, carry, x):
    h_prev, c_prev = carry["h"], carry["c"]

    i = jax.nn.sigmoid(h_prev @ params["W_i"] + x @ params["U_i"] + params["b_i"])
    f = jax.nn.sigmoid(h_prev @ params["W_f"] + x @ params["U_f"] + params["b_f"])
    # what is said depends on the state
    o = jax.nn.sigmoid(h_prev @ params["W_o"] + params["b_o"])
    c_tilde = jnp.tanh(h_prev @ params["W_c"] + x @ params["U_c"] + params["b_c"])

    c = f * c_prev + i * c_tilde
    h = o * jnp.tanh(c)
    return {"h": h, "c": c}, h
