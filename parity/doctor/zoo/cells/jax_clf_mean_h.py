import jax
import jax.numpy as jnp


def init(key, input_size, hidden_size, num_classes):
    ks = jax.random.split(key, 9)
    p = {"gates": {}}
    for n, g in enumerate(("i", "f", "o", "c")):
        p["gates"][g] = (
            0.1 * jax.random.normal(ks[2 * n], (input_size, hidden_size)),
            0.1 * jax.random.normal(ks[2 * n + 1], (hidden_size, hidden_size)),
            jnp.zeros(hidden_size),
        )
    p["out"] = (0.1 * jax.random.normal(ks[8], (hidden_size, num_classes)), jnp.zeros(num_classes))
    return p


def lstm_cell(params, carry, x):
    h, c = carry
    z = {g: x @ U + h @ W + b for g, (U, W, b) in params["gates"].items()}
    c = jax.nn.sigmoid(z["f"]) * c + jax.nn.sigmoid(z["i"]) * jnp.tanh(z["c"])
    h = jax.nn.sigmoid(z["o"]) * jnp.tanh(c)
    return (h, c), h


def predict(params, x):
    W_out, b_out = params["out"]
    zeros = jnp.zeros((x.shape[0], W_out.shape[0]))
    _, hs = jax.lax.scan(lambda s, xt: lstm_cell(params, s, xt), (zeros, zeros), x.transpose(1, 0, 2))
    # all rows of the image count the same
    return hs.mean(axis=0) @ W_out + b_out
