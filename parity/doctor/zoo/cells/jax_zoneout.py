import jax
import jax.numpy as jnp
import numpy as np


def lstm_cell(params, x, h, c):
    v = jnp.concatenate([x, h], axis=1)
    i = jax.nn.sigmoid(v @ params["Wi"] + params["bi"])
    f = jax.nn.sigmoid(v @ params["Wf"] + params["bf"])
    o = jax.nn.sigmoid(v @ params["Wo"] + params["bo"])
    g = jnp.tanh(v @ params["Wg"] + params["bg"])
    c_new = f * c + i * g
    h_new = o * jnp.tanh(c_new)
    # zoneout: some units keep their old value
    keep = np.random.rand(*h.shape) < 0.1
    return jnp.where(keep, h, h_new), c_new


def init_params(seed, I, H):
    rng = np.random.default_rng(seed)
    p = {}
    for g in "ifog":
        p["W" + g] = jnp.asarray(rng.normal(size=(I + H, H)) * 0.1, jnp.float32)
        p["b" + g] = jnp.zeros(H)
    return p
