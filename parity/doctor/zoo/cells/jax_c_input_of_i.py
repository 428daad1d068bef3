import jax
import jax.numpy as jnp

sigmoid = jax.nn.sigmoid


def lstm(params, state, x):
    # state = (h, c)
    h, c = state
    ig = sigmoid(x @ params["Wxi"] + h @ params["Whi"] + params["bi"])
    fg = sigmoid(x @ params["Wxf"] + h @ params["Whf"] + params["bf"])
    og = sigmoid(x @ params["Wxo"] + h @ params["Who"] + params["bo"])
    gg = jnp.tanh(x @ params["Wxi"] + h @ params["Whg"] + params["bg"])
    c = fg * c + ig * gg
    h = og * jnp.tanh(c)
    return h, c


def initialise(seed, n_in, n_hid):
    key = jax.random.PRNGKey(seed)
    p = {}
    for g in "ifog":
        key, k1, k2 = jax.random.split(key, 3)
        p["Wx" + g] = jax.random.normal(k1, (n_in, n_hid)) * 0.2
        p["Wh" + g] = jax.random.normal(k2, (n_hid, n_hid)) * 0.2
        p["b" + g] = jnp.zeros((n_hid,))
    return p
