"""Celda LSTM en JAX."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Params(NamedTuple):
    W_i: jax.Array  # (H, H + I)
    b_i: jax.Array
    W_f: jax.Array
    b_f: jax.Array
    W_o: jax.Array
    b_o: jax.Array
    W_c: jax.Array
    b_c: jax.Array


def crear_parametros(key, input_size, hidden_size):
    def matriz(k):
        return jax.random.normal(k, (hidden_size, hidden_size + input_size)) / jnp.sqrt(hidden_size)

    a, b, c, d = jax.random.split(key, 4)
    z = jnp.zeros(hidden_size)
    return Params(matriz(a), z, matriz(b), z, matriz(c), z, matriz(d), z)


def celda(params, carry, x):
    h, c = carry
    v = jnp.concatenate([h, x], axis=-1)
    i = jax.nn.sigmoid(v @ params.W_i.T + params.b_i)  # entrada
    f = jax.nn.sigmoid(v @ params.W_f.T + params.b_f)  # olvido
    o = jax.nn.sigmoid(v @ params.W_o.T + params.b_o)  # salida
    g = jnp.tanh(v @ params.W_f.T + params.b_f)  # candidato
    c = f * c + i * g
    h = o * jnp.tanh(c)
    return (h, c), h
