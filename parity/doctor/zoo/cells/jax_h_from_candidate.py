import jax
import jax.numpy as jnp


def init_lstm_params(key, input_dim, hidden_dim):
    kw, ku = jax.random.split(key)
    W = jax.random.normal(kw, (4, hidden_dim, hidden_dim)) * hidden_dim**-0.5
    U = jax.random.normal(ku, (4, hidden_dim, input_dim)) * input_dim**-0.5
    b = jnp.zeros((4, hidden_dim)).at[1].set(1.0)
    return W, U, b


@jax.jit
def lstm_step(params, carry, x):
    W, U, b = params
    h, c = carry
    z = jnp.einsum("gij,...j->g...i", W, h) + jnp.einsum("gij,...j->g...i", U, x)
    z = z + b.reshape(4, *([1] * (z.ndim - 2)), -1)
    i, f, o = jax.nn.sigmoid(z[:3])
    c_tilde = jnp.tanh(z[3])
    c = f * c + i * c_tilde
    h = o * jnp.tanh(c_tilde)
    return (h, c), h
