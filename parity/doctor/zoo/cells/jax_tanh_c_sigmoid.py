import jax
import jax.numpy as jnp


def lstm_cell(params, x, h, c):
    i = jax.nn.sigmoid(jnp.dot(x, params["U_i"]) + jnp.dot(h, params["W_i"]) + params["b_i"])
    f = jax.nn.sigmoid(jnp.dot(x, params["U_f"]) + jnp.dot(h, params["W_f"]) + params["b_f"])
    o = jax.nn.sigmoid(jnp.dot(x, params["U_o"]) + jnp.dot(h, params["W_o"]) + params["b_o"])
    g = jnp.tanh(jnp.dot(x, params["U_c"]) + jnp.dot(h, params["W_c"]) + params["b_c"])
    c_new = f * c + i * g
    h_new = o * jax.nn.sigmoid(c_new)
    return h_new, c_new
