from functools import partial

import jax
import jax.numpy as jnp

GATES = ("i", "f", "o", "c")


def init(rng, n_in, n_hidden):
    params = {}
    for g in GATES:
        rng, a, b = jax.random.split(rng, 3)
        params[g] = {
            "W": jax.nn.initializers.orthogonal()(a, (n_hidden, n_hidden)),
            "U": jax.nn.initializers.glorot_uniform()(b, (n_in, n_hidden)),
            "b": jnp.zeros(n_hidden),
        }
    return params


def affine(p, x, h):
    return jnp.einsum("bh,hk->bk", h, p["W"]) + jnp.einsum("bi,ik->bk", x, p["U"]) + p["b"]


def cell(params, carry, x):
    h, c = carry
    i, f, o = (jax.nn.sigmoid(affine(params[g], x, h)) for g in "ifo")
    # the tanh comes at the end, on c
    c = f * c + i * affine(params["c"], x, h)
    h = o * jnp.tanh(c)
    return (h, c), h


def run(params, xs):
    B, H = xs.shape[1], params["i"]["b"].shape[0]
    zeros = jnp.zeros((B, H))
    return jax.lax.scan(partial(cell, params), (zeros, zeros), xs)
