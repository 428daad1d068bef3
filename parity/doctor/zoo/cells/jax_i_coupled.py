import jax
import jax.numpy as jnp


def init_params(key, nx, nh):
    params = {}
    for name, k in zip(["input", "forget", "output", "candidate"], jax.random.split(key, 4)):
        kx, kh = jax.random.split(k)
        params[name] = {
            "x": jax.random.normal(kx, (nh, nx)) / jnp.sqrt(nx),
            "h": jax.random.normal(kh, (nh, nh)) / jnp.sqrt(nh),
            "b": jnp.zeros(nh),
        }
    return params


def pre(p, x, h):
    return x @ p["x"].T + h @ p["h"].T + p["b"]


def lstm_cell(params, carry, x):
    h, c = carry
    f = jax.nn.sigmoid(pre(params["forget"], x, h))
    i = 1.0 - f
    o = jax.nn.sigmoid(pre(params["output"], x, h))
    g = jnp.tanh(pre(params["candidate"], x, h))
    c = f * c + i * g
    h = o * jnp.tanh(c)
    return (h, c), h
