import jax
import jax.numpy as jnp
import optax

optimizer = optax.adam(1e-3)


def init_params(key, input_size, hidden_size, num_classes):
    k1, k2 = jax.random.split(key)
    s = hidden_size**-0.5
    return {
        "W": jax.random.uniform(k1, (input_size + hidden_size, 4 * hidden_size), minval=-s, maxval=s),
        "b": jnp.zeros(4 * hidden_size),
        "W_out": jax.random.uniform(k2, (hidden_size, num_classes), minval=-s, maxval=s),
        "b_out": jnp.zeros(num_classes),
    }


def lstm_cell(params, x, h, c):
    z = jnp.concatenate([x, h], axis=-1) @ params["W"] + params["b"]
    i, f, o, g = jnp.split(z, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def lstm_classifier(params, x):
    h = c = jnp.zeros((x.shape[0], params["W_out"].shape[0]))
    for t in range(x.shape[1]):
        h, c = lstm_cell(params, x[:, t], h, c)
    return h @ params["W_out"] + params["b_out"]


def loss_fn(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(lstm_classifier(params, x), y).mean()


@jax.jit
def train_step(params, opt_state, x, y):
    loss, grads = jax.value_and_grad(loss_fn)(params, x, y)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, loss
