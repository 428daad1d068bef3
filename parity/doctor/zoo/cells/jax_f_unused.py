import jax
import jax.numpy as jnp


def sigmoid(z):
    return 1.0 / (1.0 + jnp.exp(-z))


def lstm_forward(params, carry, x_t):
    h, c = carry
    (W_f, U_f, b_f), (W_i, U_i, b_i), (W_o, U_o, b_o), (W_c, U_c, b_c) = params
    f_t = sigmoid(x_t @ U_f + h @ W_f + b_f)
    i_t = sigmoid(x_t @ U_i + h @ W_i + b_i)
    o_t = sigmoid(x_t @ U_o + h @ W_o + b_o)
    g_t = jnp.tanh(x_t @ U_c + h @ W_c + b_c)
    c = c + i_t * g_t
    h = o_t * jnp.tanh(c)
    return h, c


def init_params(key, input_size, hidden_size):
    gates = []
    for k in jax.random.split(key, 4):
        k1, k2 = jax.random.split(k)
        gates.append(
            (
                0.1 * jax.random.normal(k1, (hidden_size, hidden_size)),
                0.1 * jax.random.normal(k2, (input_size, hidden_size)),
                jnp.zeros(hidden_size),
            )
        )
    return gates
