import jax
import jax.numpy as jnp
import optax


def init_params(key, input_size, hidden_size, num_classes):
    k1, k2, k3 = jax.random.split(key, 3)
    s = hidden_size**-0.5
    return {
        "U": jax.random.uniform(k1, (input_size, 4 * hidden_size), minval=-s, maxval=s),
        "W": jax.random.uniform(k2, (hidden_size, 4 * hidden_size), minval=-s, maxval=s),
        "b": jnp.zeros(4 * hidden_size),
        "W_out": jax.random.uniform(k3, (hidden_size, num_classes), minval=-s, maxval=s),
        "b_out": jnp.zeros(num_classes),
    }


def lstm_cell(params, carry, x):
    h, c = carry
    i, f, o, g = jnp.split(x @ params["U"] + h @ params["W"] + params["b"], 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def classifier(params, x):
    zeros = jnp.zeros((x.shape[0], params["W"].shape[0]))
    (h, _), _ = jax.lax.scan(lambda s, x_t: lstm_cell(params, s, x_t), (zeros, zeros), jnp.swapaxes(x, 0, 1))
    return h @ params["W_out"] + params["b_out"]


def loss_fn(params, x, y):
    logits = classifier(params, x)
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


@jax.jit
def train_step(params, x, y):
    loss, grads = jax.value_and_grad(loss_fn)(params, x, y)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
    updates, _ = tx.update(grads, tx.init(params), params)
    return optax.apply_updates(params, updates), loss
