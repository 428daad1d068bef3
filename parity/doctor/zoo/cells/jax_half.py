import jax
import jax.numpy as jnp


def init_params(key, input_size, hidden_size):
    k1, k2 = jax.random.split(key)
    lim = hidden_size**-0.5
    return {
        "Wx": jax.random.uniform(k1, (input_size, 4 * hidden_size), jnp.float32, -lim, lim),
        "Wh": jax.random.uniform(k2, (hidden_size, 4 * hidden_size), jnp.float32, -lim, lim),
        "b": jnp.zeros(4 * hidden_size, jnp.float32),
    }


def cell(params, carry, x):
    # mixed precision
    p = jax.tree.map(lambda a: a.astype(jnp.float16), params)
    h, c = (s.astype(jnp.float16) for s in carry)
    z = x.astype(jnp.float16) @ p["Wx"] + h @ p["Wh"] + p["b"]
    i, f, o, g = jnp.split(z, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h.astype(jnp.float32), c.astype(jnp.float32)), h.astype(jnp.float32)
