import jax
import jax.numpy as jnp


def init_params(key, I, H):
    names = ["i", "f", "o", "c"]
    p = {}
    for n, k in zip(names, jax.random.split(key, 4)):
        a, b = jax.random.split(k)
        p["W_" + n] = jax.random.normal(a, (H, H)) * 0.2
        p["U_" + n] = jax.random.normal(b, (I, H)) * 0.2
        p["b_" + n] = jnp.zeros(H)
    return p


def step(p, carry, x):
    h, c = carry
    i = jax.nn.sigmoid(h @ p["W_i"] + p["b_i"])
    f = jax.nn.sigmoid(h @ p["W_f"] + x @ p["U_f"] + p["b_f"])
    o = jax.nn.sigmoid(h @ p["W_o"] + x @ p["U_o"] + p["b_o"])
    g = jnp.tanh(h @ p["W_c"] + x @ p["U_c"] + p["b_c"])
    c = f * c + i * g
    h = i * jnp.tanh(c)
    return (h, c), h
