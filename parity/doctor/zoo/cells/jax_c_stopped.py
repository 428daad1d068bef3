import jax
import jax.numpy as jnp


def lstm_cell(params, carry, x):
    h, c = jax.tree.map(jnp.asarray, carry)
    c = jax.lax.stop_gradient(c)
    z = x @ params["w_x"].T + h @ params["w_h"].T + params["b"]
    i, f, g, o = jnp.split(z, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return h, c
