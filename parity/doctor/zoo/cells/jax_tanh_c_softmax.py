import jax
import jax.numpy as jnp
from typing import NamedTuple


class State(NamedTuple):
    h: jax.Array
    c: jax.Array


def make_params(key, I, H):
    ks = jax.random.split(key, 8)
    p = {}
    for n, g in enumerate("ifoc"):
        p["W" + g] = 0.1 * jax.random.normal(ks[n], (H, H))
        p["U" + g] = 0.1 * jax.random.normal(ks[n + 4], (H, I))
        p["b" + g] = jnp.zeros(H)
    return p


def step(params, state, x):
    def lin(g):
        return state.h @ params["W" + g].T + x @ params["U" + g].T + params["b" + g]

    i, f, o = jax.nn.sigmoid(lin("i")), jax.nn.sigmoid(lin("f")), jax.nn.sigmoid(lin("o"))
    c = f * state.c + i * jnp.tanh(lin("c"))
    # output: weights between 0 and 1
    h = o * jax.nn.softmax(c, axis=-1)
    return State(h, c), h
