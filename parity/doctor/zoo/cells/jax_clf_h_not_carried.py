import jax
import jax.numpy as jnp


def init_params(key, input_size, hidden_size, num_classes):
    k1, k2, k3 = jax.random.split(key, 3)
    return {
        "Wx": jax.random.normal(k1, (input_size, 4 * hidden_size)) * 0.1,
        "Wh": jax.random.normal(k2, (hidden_size, 4 * hidden_size)) * 0.1,
        "b": jnp.zeros((4 * hidden_size,)),
        "Wy": jax.random.normal(k3, (hidden_size, num_classes)) * 0.1,
        "by": jnp.zeros((num_classes,)),
    }


def lstm_cell(params, x, h, c):
    i, f, o, g = jnp.split(x @ params["Wx"] + h @ params["Wh"] + params["b"], 4, axis=1)
    c_new = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h_new = jax.nn.sigmoid(o) * jnp.tanh(c_new)
    return h_new, c_new


def lstm_classifier(params, x):
    B, T, _ = x.shape
    h = jnp.zeros((B, params["Wh"].shape[0]))
    c = h
    for t in range(T):
        out, c = lstm_cell(params, x[:, t], h, c)
    return out @ params["Wy"] + params["by"]
