import jax
import jax.numpy as jnp


def init_params(key, input_size, hidden_size, num_classes):
    k1, k2 = jax.random.split(key)
    return {
        "W": 0.2 * jax.random.normal(k1, (input_size + hidden_size, 4 * hidden_size)),
        "b": jnp.zeros(4 * hidden_size),
        "V": 0.2 * jax.random.normal(k2, (hidden_size, num_classes)),
        "a": jnp.zeros(num_classes),
    }


def lstm_cell(params, carry, x):
    h, c = carry
    z = jnp.concatenate([x, h], axis=-1) @ params["W"] + params["b"]
    i, f, o, g = jnp.split(z, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def forward(params, x):
    # x: (batch, time, features); scan runs over the first axis
    n = params["V"].shape[0]
    start = jnp.zeros((x.shape[1], n))
    _, hs = jax.lax.scan(lambda s, xt: lstm_cell(params, s, xt), (start, start), x)
    # last time step: (batch, hidden)
    return hs[:, -1] @ params["V"] + params["a"]
