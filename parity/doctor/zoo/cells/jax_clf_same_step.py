import jax
import jax.numpy as jnp


def init_params(key, input_size, hidden_size, num_classes):
    kx, kh, ko = jax.random.split(key, 3)
    return {
        "x": 0.1 * jax.random.normal(kx, (input_size, 4 * hidden_size)),
        "h": 0.1 * jax.random.normal(kh, (hidden_size, 4 * hidden_size)),
        "b": jnp.zeros(4 * hidden_size),
        "out": 0.1 * jax.random.normal(ko, (hidden_size, num_classes)),
        "out_b": jnp.zeros(num_classes),
    }


def lstm_cell(params, x, h, c):
    i, f, g, o = jnp.split(x @ params["x"] + h @ params["h"] + params["b"], 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def classifier(params, images):
    batch, steps, _ = images.shape
    h = jnp.zeros((batch, params["h"].shape[0]))
    c = jnp.zeros_like(h)
    x = images[:, 0]
    for t in range(steps):
        h, c = lstm_cell(params, x, h, c)
    return h @ params["out"] + params["out_b"]
