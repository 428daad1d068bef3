"""Correct cells as NumPy classes, and functions of arrays written out whole."""

from collections.abc import Iterator
from dataclasses import replace

from doctor_cells_functions import (
    CALLS,
    FUSED,
    FUSED_JOINT,
    JOINT,
    NAMES,
    imports,
    step_lines,
)
from doctor_cells_shapes import ORDERS, Shape, leaf_key
from doctor_cells_text import GATES, Right, choose, indented, joined, mapping

SIZES = [("input_size", "hidden_size"), ("n_in", "n_hidden"), ("I", "H"), ("input_dim", "hidden_dim")]
DRAWS = [
    "np.random.randn({shape}) * 0.1",
    "rng.normal(0.0, 0.1, ({shape}))",
    "np.random.randn({shape}).astype(np.float32)",
    "rng.uniform(-0.5, 0.5, size=({shape}))",
]
METHODS = ["forward", "__call__", "step"]


def _class(k: int, shape: Shape) -> Right:
    """A NumPy class with one attribute per array."""
    seed = f"class {k}"
    method, (n_in, n_hidden) = METHODS[k % 3], SIZES[k % 4]
    call = replace(CALLS["numpy"][(0, 2, 6)[k % 3]], arguments="")
    leaves = shape.leaves()
    draw = choose(DRAWS, "draw", seed)
    zeros = "np.zeros(({shape}), dtype=np.float32)" if "float32" in draw else "np.zeros(({shape}))"
    init = [f"self.{leaf.name} = " + (zeros if leaf.role == "b" else draw) for leaf in leaves]
    init = [line.replace("{shape}", leaf.shape) for line, leaf in zip(init, leaves, strict=True)]
    head = [f"I, H = {n_in}, {n_hidden}"] if n_in != "I" else []
    head += [f"self.{n_hidden} = {n_hidden}", "rng = np.random.default_rng(0)" if "rng" in draw else ""]
    text = {leaf_key(leaf): f"self.{leaf.name}" for leaf in leaves}
    lines, result, σ = step_lines(shape, text, call, "numpy", seed)
    name = choose(["LSTMCell", "ManualLSTMCell", "NumpyLSTMCell", "Cell"], "class", seed)
    body = f"class {name}:\n    def __init__(self, {n_in}, {n_hidden}):\n{indented([*head, *init], 2)}\n\n"
    body += f"    def {method}(self, {call.x}, {call.h}, {call.c}):\n"
    body += indented([*lines, f"return {result}"], 2)
    used = "cell" if method == "__call__" else f"cell.{method}"
    return Right(
        f"numpy-class-{k:02}",
        "numpy",
        joined(imports("numpy", body), σ.glob, body),
        f"a class with {method}, {shape.kind}, {shape.axes}; {σ.of('z')}",
        name,
        f"cell = {name}(I, H)",
        f"h, c = {used}(x, h, c)",
        shape.weights({leaf_key(leaf): f"p[{leaf.name!r}]" for leaf in leaves}),
        shape.axes,
    )


def _classes() -> Iterator[Right]:
    shapes = [Shape("separate", transposed=k % 2 == 1, names=NAMES[k]) for k in range(5)]
    shapes += [Shape("joint", first="xh"[k], transposed=k == 1, names=JOINT[k]) for k in range(2)]
    shapes += [Shape("fused", transposed=k == 0, order=ORDERS[4 * k + 3], names=FUSED[k]) for k in range(2)]
    shapes += [
        Shape("fused joint", transposed=k == 1, order=ORDERS[k + 17], names=FUSED_JOINT[k]) for k in range(2)
    ]
    shapes += [
        Shape("separate", axes="columns", names=NAMES[1]),
        Shape("joint", axes="vector", names=JOINT[1]),
    ]
    for k, shape in enumerate(shapes):
        yield _class(k, shape)


_BIAS_ROW = """
import jax
import jax.numpy as jnp


def init_params(key, I, H):
    return 0.1 * jax.random.normal(key, (I + H + 1, 4 * H))


def lstm_step(params, carry, x):
    h, c = carry
    one = jnp.ones((x.shape[0], 1), x.dtype)
    i, f, o, g = jnp.split(jnp.concatenate([x, h, one], axis=1) @ params, 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h
"""

_ROWS = """
import jax
import jax.numpy as jnp


def init_params(key, input_size, hidden_size):
    return jax.random.normal(key, (4, hidden_size, input_size + hidden_size + 1)) * 0.1


def lstm_cell(params, carry, x):
    h, c = carry
    I = x.shape[-1]
    U, W, b = params[..., :I], params[..., I:-1], params[..., -1]

    def pre_activation(k):
        return x @ U[k].T + h @ W[k].T + b[k]

    f = jax.nn.sigmoid(pre_activation(0))
    i = jax.nn.sigmoid(pre_activation(1))
    o = jax.nn.sigmoid(pre_activation(2))
    c_tilde = jnp.tanh(pre_activation(3))
    c = f * c + i * c_tilde
    return o * jnp.tanh(c), c
"""

_VMAP = '''
import jax
import jax.numpy as jnp


def init_params(key, I, H):
    k1, k2 = jax.random.split(key)
    return {
        "U": dict(zip("ifoc", 0.1 * jax.random.normal(k1, (4, H, I)))),
        "W": dict(zip("ifoc", 0.1 * jax.random.normal(k2, (4, H, H)))),
        "b": {g: jnp.zeros(H) for g in "ifoc"},
    }


def _one(params, carry, x):
    """One example: x [I], h and c [H]."""
    h, c = carry
    z = {g: params["W"][g] @ h + params["U"][g] @ x + params["b"][g] for g in "ifoc"}
    c = jax.nn.sigmoid(z["f"]) * c + jax.nn.sigmoid(z["i"]) * jnp.tanh(z["c"])
    return jax.nn.sigmoid(z["o"]) * jnp.tanh(c), c


def lstm_step(params, carry, x):
    """A batch of examples."""
    return jax.vmap(_one, in_axes=(None, 0, 0))(params, carry, x)
'''

_SCAN = """
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Carry(NamedTuple):
    h: jax.Array
    c: jax.Array


def init_params(key, I, H, C=10):
    k1, k2, k3 = jax.random.split(key, 3)
    return {
        "W_ih": 0.1 * jax.random.normal(k1, (I, 4 * H)),
        "W_hh": 0.1 * jax.random.normal(k2, (H, 4 * H)),
        "b": jnp.zeros(4 * H),
        "W_out": 0.1 * jax.random.normal(k3, (H, C)),
        "b_out": jnp.zeros(C),
    }


def lstm_step(params, carry, x):
    z = x @ params["W_ih"] + carry.h @ params["W_hh"] + params["b"]
    i, f, g, o = jnp.split(z, 4, axis=-1)
    c = jax.nn.sigmoid(f) * carry.c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return Carry(h, c), h


def classifier(params, x):
    zeros = jnp.zeros((x.shape[0], params["b"].shape[0] // 4), x.dtype)
    carry, _ = jax.lax.scan(lambda s, v: lstm_step(params, s, v), Carry(zeros, zeros), x.swapaxes(0, 1))
    return carry.h @ params["W_out"] + params["b_out"]
"""

_PREDICTS = """
import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - np.max(z, axis=0, keepdims=True))
    return e / e.sum(axis=0, keepdims=True)


def initialize_parameters(n_x, n_a, n_y=2):
    rng = np.random.default_rng(1)
    parameters = {}
    for gate in ("f", "i", "c", "o"):
        parameters["W" + gate] = rng.standard_normal((n_a, n_a + n_x)) * 0.1
        parameters["b" + gate] = np.zeros((n_a, 1))
    parameters["Wy"] = rng.standard_normal((n_y, n_a)) * 0.1
    parameters["by"] = np.zeros((n_y, 1))
    return parameters


def lstm_cell_forward(xt, a_prev, c_prev, parameters):
    Wf, bf = parameters["Wf"], parameters["bf"]
    Wi, bi = parameters["Wi"], parameters["bi"]
    Wc, bc = parameters["Wc"], parameters["bc"]
    Wo, bo = parameters["Wo"], parameters["bo"]
    Wy, by = parameters["Wy"], parameters["by"]

    n_x, m = xt.shape
    n_y, n_a = Wy.shape
    concat = np.zeros((n_a + n_x, m))
    concat[:n_a, :] = a_prev
    concat[n_a:, :] = xt

    ft = sigmoid(np.dot(Wf, concat) + bf)
    it = sigmoid(np.dot(Wi, concat) + bi)
    cct = np.tanh(np.dot(Wc, concat) + bc)
    c_next = ft * c_prev + it * cct
    ot = sigmoid(np.dot(Wo, concat) + bo)
    a_next = ot * np.tanh(c_next)

    yt_pred = softmax(np.dot(Wy, a_next) + by)
    cache = (a_next, c_next, a_prev, c_prev, ft, it, cct, ot, xt, parameters)
    return a_next, c_next, yt_pred, cache
"""

_SINGLE = """
import numpy as np


class LSTMCell:
    def __init__(self, input_size, hidden_size, seed=0):
        rng = np.random.default_rng(seed)
        shape = (4, hidden_size, input_size + hidden_size)
        self.W = rng.uniform(-0.1, 0.1, shape).astype(np.float32)
        self.b = np.zeros((4, hidden_size), dtype=np.float32)

    @staticmethod
    def sigmoid(z):
        return np.float32(1) / (np.float32(1) + np.exp(-z))

    def forward(self, x, h, c):
        xh = np.concatenate([x, h], axis=1).astype(np.float32)
        i, f, o = (self.sigmoid(xh @ self.W[k].T + self.b[k]) for k in range(3))
        c_tilde = np.tanh(xh @ self.W[3].T + self.b[3])
        c = f * c.astype(np.float32) + i * c_tilde
        return o * np.tanh(c), c
"""

_RANKS = """
import numpy as np


def lstm_step(params, x, h, c):
    gates = np.einsum("...i,gih->g...h", np.concatenate((x, h), axis=-1), params["W"])
    z_i, z_f, z_g, z_o = (gates[k] + params["b"][k] for k in range(4))
    i, f, o = (1.0 / (1.0 + np.exp(-z)) for z in (z_i, z_f, z_o))
    c_new = f * c + i * np.tanh(z_g)
    return o * np.tanh(c_new), c_new


def init_params(rng, I, H):
    return {"W": rng.normal(size=(4, I + H, H)) / np.sqrt(I + H), "b": np.zeros((4, H))}
"""


def _by_order(order: str, text: str) -> str:
    """The weights of gates that lie in this order; {k} is a gate's number."""
    return mapping({g: text.replace("{k}", str(order.index(g))) for g in GATES})


def _wholes() -> Iterator[Right]:
    key, rng = "p = init_params(key, I, H)", "p = init_params(rng, I, H)"
    cut = "[:, {k} * H:({k} + 1) * H].T"
    columns = f"(p[I:I + H]{cut}, p[:I]{cut}, p[-1][{{k}} * H:({{k}} + 1) * H])"
    fused = f"(p['W_hh']{cut}, p['W_ih']{cut}, p['b'][{{k}} * H:({{k}} + 1) * H])"
    joint = "(p['W'][{k}][:, I:], p['W'][{k}][:, :I], p['b'][{k}])"
    ranks = "(p['W'][{k}][I:].T, p['W'][{k}][:I].T, p['b'][{k}])"
    rows = _by_order("fioc", "(p[{k}][:, I:-1], p[{k}][:, :I], p[{k}][:, -1])")
    vmap = mapping({g: f"(p['W']['{g}'], p['U']['{g}'], p['b']['{g}'])" for g in GATES})
    predicts = mapping({g: f"(p['W{g}'][:, :H], p['W{g}'][:, H:], p['b{g}'][:, 0])" for g in GATES})
    scan = "(h, c), _ = lstm_step(p, (h, c), x)"
    use = "h, c = {}(p, (h, c), x)"
    yield _whole(0, "jax", _BIAS_ROW, "lstm_step", "a bias row", key, scan, _by_order("ifoc", columns))
    yield _whole(1, "jax", _ROWS, "lstm_cell", "a bias column, [4, H, I + H + 1]", key, use, rows)
    yield _whole(2, "jax", _VMAP, "lstm_step", "vmap of one example", key, use, vmap)
    state = scan.replace("(p, (h, c), x)", "(p, Carry(h, c), x)")
    yield _whole(3, "jax", _SCAN, "lstm_step", "a classifier beside it", key, state, _by_order("ifco", fused))
    made, used = "p = initialize_parameters(I, H)", "h, c, _, _ = lstm_cell_forward(x, h, c, p)"
    whole = _whole(4, "numpy", _PREDICTS, "lstm_cell_forward", "predicts too", made, used, predicts)
    yield replace(whole, axes="columns")
    made, used = "cell = LSTMCell(I, H)", "h, c = cell.forward(x, h, c)"
    whole = _whole(
        5, "numpy", _SINGLE, "LSTMCell", "computes in float32", made, used, _by_order("ifoc", joint)
    )
    yield replace(whole, float32=True)
    used = "h, c = lstm_step(p, x, h, c)"
    yield _whole(6, "numpy", _RANKS, "lstm_step", "rows or a vector", rng, used, _by_order("ifco", ranks))


def _whole(
    k: int, framework: str, source: str, name: str, style: str, make: str, use: str, weights: str
) -> Right:
    use = use.replace("{}", name)
    return Right(f"{framework}-whole-{k}", framework, source.lstrip("\n"), style, name, make, use, weights)


def array_cells() -> Iterator[Right]:
    """Every cell of this file."""
    yield from _classes()
    yield from _wholes()
