"""Correct cells as functions of arrays, in JAX and NumPy: layouts × containers × forms of the call."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from doctor_cells_shapes import ORDERS, Leaf, Shape, contain, leaf_key
from doctor_cells_text import GATES, Axes, Right, Spelling, choose, indented, joined, update, wrapped

LOCALS = [
    ("i_t", "f_t", "o_t", "c_tilde"),
    ("i", "f", "o", "g"),
    ("input_gate", "forget_gate", "output_gate", "candidate"),
    ("it", "ft", "ot", "cct"),
    ("i_gate", "f_gate", "o_gate", "n"),
]
FUNCTIONS = ["lstm_step", "lstm_cell", "cell", "step", "manual_lstm_cell", "lstm_cell_step"]
_STABLE = """def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))"""
_MASKED = """def sigmoid(z):
    out = np.empty_like(z)
    positive = z >= 0
    out[positive] = 1.0 / (1.0 + np.exp(-z[positive]))
    e = np.exp(z[~positive])
    out[~positive] = e / (1.0 + e)
    return out"""
SIGMOIDS = {
    "jax": [
        *[Spelling("jax.nn.sigmoid({z})")] * 3,
        Spelling("1 / (1 + jnp.exp(-{(z)}))"),
        Spelling("0.5 * (jnp.tanh({(z)} / 2) + 1)"),
        Spelling("sigmoid({z})", glob="def sigmoid(z):\n    return 1.0 / (1.0 + jnp.exp(-z))"),
        Spelling("jax.lax.logistic({z})"),
        Spelling("jax.scipy.special.expit({z})"),
    ],
    "numpy": [
        *[Spelling("sigmoid({z})", glob="def sigmoid(z):\n    return 1 / (1 + np.exp(-z))")] * 2,
        Spelling("1 / (1 + np.exp(-{(z)}))"),
        Spelling("0.5 * (np.tanh({(z)} / 2) + 1)"),
        Spelling("sigmoid({z})", glob=_STABLE),
        Spelling("sigmoid({z})", glob=_MASKED),
        Spelling("expit({z})"),
        Spelling("sigma({z})", glob="def sigma(a):\n    return 0.5 * (1.0 + np.tanh(0.5 * a))"),
    ],
}
TANHS = ["{xp}.tanh({z})"] * 4 + ["2 / (1 + {xp}.exp(-2 * {(z)})) - 1"]


@dataclass(frozen=True)
class Call:
    """How a function is called: arguments with {p} for the parameters, first lines, names, result, use."""

    arguments: str
    x: str
    h: str
    c: str
    h_new: str
    c_new: str
    result: str
    use: str
    before: tuple[str, ...] = ()
    glob: str = ""
    p: str = "params"


_STATE = "class State(NamedTuple):\n    h: object\n    c: object"
_CARRY = "{p}, carry, x"
_PLAIN = "h, c = {f}(p, x, h, c)"
_LAST = "h, c = {f}(x, h, c, p)"
_DICT = "s = {f}(p, dict(h=h, c=c), x); h, c = s['h'], s['c']"
CALLS = {
    "jax": [
        Call(_CARRY, "x", "h", "c", "h_t", "c_t", "{h}, {c}", "h, c = {f}(p, (h, c), x)", ("h, c = carry",)),
        Call(_CARRY, "x", "h", "c", "h", "c", "({h}, {c}), {h}", "(h, c), _ = {f}(p, (h, c), x)",
             ("h, c = carry",)),
        Call("{p}, x, h_prev, c_prev", "x", "h_prev", "c_prev", "h_t", "c_t", "{h}, {c}", _PLAIN),
        Call(_CARRY, "x", "h", "c", "h_1", "c_1", "{c}, {h}", "c, h = {f}(p, (c, h), x)", ("c, h = carry",)),
        Call("{p}, carry, x_t", "x_t", "h_prev", "c_prev", "h_t", "c_t", '{{"h": {h}, "c": {c}}}',
             _DICT, ('h_prev, c_prev = carry["h"], carry["c"]',)),
        Call(_CARRY, "x", "carry.h", "carry.c", "h", "c", "State({h}, {c}), {h}",
             "(h, c), _ = {f}(p, State(h, c), x)", glob=_STATE),
        Call(_CARRY, "x", "h", "c", "h_new", "c_new", "({c}, {h}), {h}", "(c, h), _ = {f}(p, (c, h), x)",
             ("c, h = carry",)),
        Call("{p}, x, h, c", "x", "h", "c", "h", "c", "{h}, {c}", _PLAIN),
        Call(_CARRY, "x", "h", "c", "h_t", "c_t", "[{h}, {c}]", "h, c = {f}(p, [h, c], x)",
             ("h = carry[0]", "c = carry[1]")),
        Call("{p}, state, x", "x", "state.h", "state.c", "h", "c", "State(h={h}, c={c})",
             "h, c = {f}(p, State(h, c), x)", glob=_STATE),
        Call("{p}, carry, inputs", "inputs", "h", "c", "new_h", "new_c", "({h}, {c}), ({h}, {c})",
             "(h, c), _ = {f}(p, (h, c), x)", ("(h, c) = carry",)),
        Call(_CARRY, "x", "h", "c", "h", "c", '{{"h": {h}, "c": {c}}}, {h}',
             _DICT.replace("s =", "s, _ ="), ('h = carry["h"]', 'c = carry["c"]')),
    ],
    "numpy": [
        Call("{p}, x, h, c", "x", "h", "c", "h_t", "c_t", "{h}, {c}", _PLAIN),
        Call("x, h_prev, c_prev, {p}", "x", "h_prev", "c_prev", "h_t", "c_t", "{h}, {c}", _LAST),
        Call("{p}, x, h_prev, c_prev", "x", "h_prev", "c_prev", "h", "c", "{h}, {c}", _PLAIN),
        Call("x, h, c, {p}", "x", "h", "c", "h", "c", "{h}, {c}", _LAST, p="p"),
        Call("x_t, h_t_1, c_t_1, {p}", "x_t", "h_t_1", "c_t_1", "h_t", "c_t", "{c}, {h}",
             "c, h = {f}(x, h, c, p)", p="weights"),
        Call("{p}, x, h, c", "x", "h", "c", "h_new", "c_new", "{h}, {c}, ({i}, {f}, {o}, {g})",
             "h, c, _ = {f}(p, x, h, c)"),
        Call("{p}, inp, hx, cx", "inp", "hx", "cx", "hy", "cy", "{h}, {c}", _PLAIN, p="theta"),
    ],
}  # fmt: skip
COURSERA = Call(
    "xt, a_prev, c_prev, {p}", "xt", "a_prev", "c_prev", "a_next", "c_next",
    "{h}, {c}, ({h}, {c}, a_prev, c_prev, xt, {p})",
    "h, c, _ = {f}(x, h, c, p)", p="parameters",
)  # fmt: skip
SPREAD = Call("x, h, c, {p}", "x", "h", "c", "h_t", "c_t", "{h}, {c}", "h, c = {f}(x, h, c, *p)")


@dataclass(frozen=True)
class Plan:
    """One function to write: where its parameters are, whether its file makes them, and how it is called."""

    shape: Shape
    container: str
    init: bool = True
    jit: bool = False
    call: Call | None = None
    name: str | None = None


_PRODUCTS = {
    ("batch", False): ["{v} @ {A}.T", "{xp}.dot({v}, {A}.T)", "{xp}.matmul({v}, {A}.T)"],
    ("batch", True): ["{v} @ {A}", "{xp}.dot({v}, {A})", "{xp}.matmul({v}, {A})"],
    ("vector", False): ["{A} @ {v}", "{xp}.dot({A}, {v})"],
    ("vector", True): ["{v} @ {A}", "{xp}.dot({v}, {A})"],
    ("columns", False): ["{A} @ {v}", "{xp}.dot({A}, {v})"],
}
_EINSUM = {
    ("batch", False): "bi,hi->bh",
    ("batch", True): "bi,ih->bh",
    ("vector", False): "i,hi->h",
    ("vector", True): "i,ih->h",
    ("columns", False): "ib,hi->hb",
}


def product(A: str, v: str, shape: Shape, xp: str, seed: str) -> str:
    """The text of the product of a matrix and the rows, columns or single vector v."""
    way = shape.axes, shape.transposed
    spelled = [*_PRODUCTS[way], f'{{xp}}.einsum("{_EINSUM[way]}", {{v}}, {{A}})']
    return choose(spelled, "product", seed).format(A=A, v=v, xp=xp)


def affine(
    shape: Shape, text: Mapping[str, str], call: Call, xp: str, seed: str
) -> tuple[list[str], dict[str, str]]:
    """The lines before the gates, and gate → pre-activation; "" is the fused one."""
    lines, z = [], {}
    if "joint" in shape.kind:
        v = choose(["xh", "concat", "z_in", "inputs_and_h"], "joined", seed)
        a, b = (call.x, call.h) if shape.first == "x" else (call.h, call.x)
        axis = 0 if shape.axes != "batch" else choose([1, -1], seed)
        lines.append(f"{v} = {xp}.concatenate([{a}, {b}], axis={axis})")
        if shape.axes == "batch" and choose([True, False], "stack", seed):
            lines = [f"{v} = {xp}.hstack(({a}, {b}))"]
    for g in [""] if shape.kind.startswith("fused") else GATES:
        if "joint" in shape.kind:
            z[g] = product(text[f"W{g}"], v, shape, xp, seed)
        else:
            sides = [(text[f"W{g}"], call.h), (text[f"U{g}"], call.x)]
            z[g] = " + ".join(
                product(A, u, shape, xp, seed) for A, u in choose([sides, sides[::-1]], "sides", seed)
            )
        z[g] += f" + {text[f'b{g}']}" if shape.bias else ""
    return lines, z


def packed(shape: Shape, text: Mapping[str, str], call: Call, xp: str) -> str:
    """The fused pre-activations [4, B, H] of [4, H, I] and [4, H, H] arrays, or [4, H] of a vector."""
    row = "b" if shape.axes == "batch" else ""
    last = f"g{row}h"
    A = {side: f"g{side}h" if shape.transposed else f"gh{side}" for side in "ij"}
    b = f"{text['b']}[:, None]" if row else text["b"]
    return (
        f'{xp}.einsum("{row}i,{A["i"]}->{last}", {call.x}, {text["U"]})'
        f' + {xp}.einsum("{row}j,{A["j"]}->{last}", {call.h}, {text["W"]}) + {b}'
    )


def apart(shape: Shape, local: Mapping[str, str], call: Call, xp: str, seed: str) -> list[str]:
    """The lines that take the fused pre-activations `z` apart."""
    names = ", ".join(local[g] for g in shape.order)
    if shape.kind == "packed":
        return [f"{names} = z"]
    axis, front = (-1, "..., ") if shape.axes == "batch" else (0, "")
    H, cuts = f"{call.h}.shape[{axis}]", ["", "H", "2 * H", "3 * H", ""]
    pieces = [f"{local[g]} = z[{front}{cuts[k]}:{cuts[k + 1]}]" for k, g in enumerate(shape.order)]
    other = {
        "batch": f"z.reshape(-1, 4, {H}).transpose(1, 0, 2)",
        "vector": "z.reshape(4, -1)",
        "columns": f"{xp}.split(z, 4)",
    }[shape.axes]
    split = f"{xp}.split(z, 4, axis={axis})"
    return choose([[f"{names} = {split}"], [f"H = {H}", *pieces], [f"{names} = {other}"]], "apart", seed)


def step_lines(
    shape: Shape, text: Mapping[str, str], call: Call, framework: str, seed: str
) -> tuple[list[str], str, Spelling]:
    """The lines of a step, its result, and the spelling of σ."""
    xp = "jnp" if framework == "jax" else "np"
    local = dict(zip(GATES, choose(LOCALS, "locals", seed), strict=True))
    σ, tanh = (
        choose(SIGMOIDS[framework], "sigmoid", seed),
        Spelling(choose(TANHS, "tanh", seed).replace("{xp}", xp)),
    )
    if shape.kind == "packed":
        lines, z = [f"z = {packed(shape, text, call, xp)}"], {"": ""}
    else:
        lines, z = affine(shape, text, call, xp, seed)
        lines += [f"z = {z['']}"] if "" in z else []
    if "" in z:
        lines += apart(shape, local, call, xp, seed)
        z = local
    lines += [f"{local[g]} = {(tanh if g == 'c' else σ).of(z[g])}" for g in choose(ORDERS, "written", seed)]
    lines += update(local, call.c, call.c_new, f"{xp}.multiply", seed)
    lines += [f"{call.h_new} = {local['o']} * {wrapped(tanh.of(call.c_new))}"]
    names = {"h": call.h_new, "c": call.c_new, "g": local["c"], "p": call.p, **{g: local[g] for g in "ifo"}}
    return lines, call.result.format(**names), σ


_INITS = {
    "jax": [
        "0.1 * jax.random.normal(next(keys), ({shape}))",
        "jax.random.uniform(next(keys), ({shape}), minval=-0.2, maxval=0.2)",
    ],
    "numpy": [
        "rng.normal(0, 0.1, ({shape}))",
        "rng.standard_normal(({shape})).astype(np.float32)",
        "rng.uniform(-0.2, 0.2, ({shape}))",
    ],
}
_SIZES = [("I", "H"), ("input_size", "hidden_size"), ("n_in", "n_hidden"), ("input_dim", "hidden_dim")]


def init_text(framework: str, leaves: list[Leaf], build: str, seed: str) -> tuple[str, str]:
    """The function that makes the parameters, and the line that calls it."""
    name = choose(
        ["init_params", "init_params", "make_params", "init", "initialize_parameters"], "init", seed
    )
    sizes = choose(_SIZES, "sizes", seed)
    draw = choose(_INITS[framework], "draw", seed)
    zeros = ("jnp" if framework == "jax" else "np") + ".zeros(({shape}))"
    zeros = zeros.replace("))", "), dtype=np.float32)") if "float32" in draw else zeros

    def made(leaf: Leaf) -> str:
        shape = f"{leaf.shape}," if "," not in leaf.shape else leaf.shape
        text = (zeros if leaf.role == "b" else draw).replace("{shape}", shape)
        return text.replace("({shape})", shape)

    lines = [f"{leaf.name} = {made(leaf)}" for leaf in leaves] if len(leaves) > 2 else []
    filled = build.format(**{leaf_key(leaf): leaf.name if lines else made(leaf) for leaf in leaves})
    head = [] if sizes == ("I", "H") else [f"I, H = {', '.join(sizes)}"]
    first = "key" if framework == "jax" else choose(["rng", "seed", ""], "random", seed)
    setup = {
        "key": f"keys = iter(jax.random.split(key, {len(leaves)}))",
        "seed": "rng = np.random.default_rng(seed)",
    }
    head += [setup.get(first, "rng = np.random.default_rng(0)" if not first else "")]
    arguments = ", ".join(([first] if first else []) + list(sizes))
    called = ", ".join(([first] if first else []) + ["I", "H"])
    text = f"def {name}({arguments}):\n{indented([*head, *lines, f'return {filled}'])}"
    return text, f"p = {name}({called})"


def imports(framework: str, text: str) -> str:
    """The imports that the text needs."""
    lines = ["from functools import partial"] if "partial(" in text else []
    lines += ["from typing import NamedTuple"] if "NamedTuple" in text else []
    lines += [""] if lines else []
    lines += ["import jax", "import jax.numpy as jnp"] if framework == "jax" else ["import numpy as np"]
    lines += ["from scipy.special import expit"] if framework == "numpy" and "expit(" in text else []
    return "\n".join(lines)


def written(k: int, framework: str, plan: Plan) -> Right:
    """One function, number k of its framework."""
    seed = f"{framework} {k}"
    call = plan.call or CALLS[framework][k % len(CALLS[framework])]
    f = plan.name or choose(FUNCTIONS, "name", seed)
    leaves = plan.shape.leaves()
    box = contain(plan.container, leaves, call.p)
    lines, result, σ = step_lines(plan.shape, box.text, call, framework, seed)
    arguments = call.arguments.format(p=box.arguments or call.p)
    body = f"def {f}({arguments}):\n{indented([*call.before, *box.unpack, *lines, f'return {result}'])}"
    if plan.jit:
        body = choose(
            [f"@jax.jit\n{body}", f"@partial(jax.jit)\n{body}", f"{body}\n\n\n{f} = jax.jit({f})"],
            "jit",
            seed,
        )
    init, make = init_text(framework, leaves, box.build, seed)
    if not plan.init:
        init, make = (
            "",
            "p = " + box.build.format(**{leaf_key(leaf): f"draw({leaf.shape})" for leaf in leaves}),
        )
    parts = [call.glob, box.glob, σ.glob, *choose([[init, body], [body, init]], "first", seed)]
    text = joined(*parts).replace(": object", ": jax.Array" if framework == "jax" else ": np.ndarray")
    style = f"{plan.shape.kind}{' transposed' * plan.shape.transposed}, {plan.container}, {plan.shape.axes}; "
    style += (
        f"({arguments}) → {result}; {σ.of('z')}{'' if plan.shape.bias else '; no bias'}{'; jit' * plan.jit}"
    )
    return Right(
        f"{framework}-{k:02}",
        framework,
        joined(imports(framework, text), text),
        style,
        f,
        make,
        call.use.replace("{f}", f),
        plan.shape.weights(box.path),
        plan.shape.axes,
        init != "",
    )


NAMES = [
    ("U_{}", "W_{}", "b_{}", "ifoc"),
    ("W_x{}", "W_h{}", "b_{}", "ifog"),
    ("U{}", "W{}", "b{}", "ifoc"),
    ("W_i{}", "W_h{}", "b_{}", "ifog"),
    ("w_x{}", "w_h{}", "b_{}", "ifon"),
]
JOINT = [("", "W_{}", "b_{}", "ifoc"), ("", "W{}", "b{}", "ifoc"), ("", "kernel_{}", "bias_{}", "ifog")]
FUSED = [("W_ih", "W_hh", "b", "ifoc"), ("Wx", "Wh", "b", "ifoc"), ("U", "W", "b", "ifoc")]
FUSED_JOINT = [("", "W", "b", "ifoc"), ("", "kernel", "bias", "ifoc"), ("", "weight", "bias", "ifoc")]


FLAT = ["dict", "tuple", "named tuple", "list", "indexed"]
NESTED = ["gate dicts", "role dicts", "gate tuples", "gate dicts in words"]


def jax_functions() -> Iterator[Right]:
    """Sixty JAX functions."""
    plans = []
    axes: Axes
    for k in range(20):
        axes, box = "vector" if k % 5 == 4 else "batch", FLAT[k % 5] if k % 2 else [*NESTED, "dict"][k % 5]
        shape = Shape("separate", axes, k % 3 == 1, k != 13, names=NAMES[k // 4])
        plans.append(Plan(shape, box, k % 4 != 0, k % 4 == 1))
    for k in range(14):
        axes = "vector" if k % 5 == 1 else "batch"
        shape = Shape("joint", axes, k % 3 == 0, k != 6, "xh"[k % 2], ORDERS[5 * k % 24], JOINT[k % 3])
        plans.append(Plan(shape, [*FLAT, *NESTED][k % 9], k % 3 != 1, k % 4 == 2))
    for k in range(22):
        axes, first, order = "vector" if k % 6 == 3 else "batch", "xh"[k // 2 % 2], ORDERS[(7 * k + 2) % 24]
        kind, names = (("fused", FUSED), ("fused joint", FUSED_JOINT))[k % 2]
        shape = Shape(kind, axes, k % 3 == 0, k != 9, first, order, names[k % 3])
        plans.append(Plan(shape, FLAT[k % 5], k % 4 != 2, k % 3 == 2))
    for k in range(4):
        axes = "vector" if k == 2 else "batch"
        shape = Shape("packed", axes, k % 2 == 1, order=ORDERS[6 * k], names=FUSED[k % 3])
        plans.append(Plan(shape, FLAT[k], jit=k == 1))
    for k, plan in enumerate(plans):
        yield written(k, "jax", plan)


def numpy_functions() -> Iterator[Right]:
    """Fifty NumPy functions."""
    ways: list[Axes] = ["batch", "vector", "columns", "batch"]
    plans = []
    for k in range(12):
        box = ["dict", "gate dicts", "tuple", "named tuple", "dict", "role dicts"][k % 6]
        shape = Shape("separate", ways[k % 3], k % 6 == 0, k != 8, names=NAMES[k % 5])
        plans.append(Plan(shape, box, k % 3 != 1))
    for k in range(8):
        box, order = ["dict", "dict", "list", "gate tuples"][k // 2], ORDERS[9 * k % 24]
        shape = Shape("joint", ways[k % 4], k == 0, True, "hx"[k % 2], order, JOINT[k % 3])
        plans.append(Plan(shape, box, k % 4 != 0))
    for k in range(8):
        first, order = "h" if k % 4 else "x", ORDERS[11 * k % 24]
        shape = Shape("joint", "columns", False, True, first, order, JOINT[k % 2])
        plans.append(Plan(shape, "dict", k % 2 == 1, call=COURSERA, name="lstm_cell_forward"))
    for k in range(10):
        kind, names = (("separate", NAMES), ("joint", JOINT), ("fused", FUSED))[k % 3]
        order = ORDERS[(13 * k + 1) % 24]
        shape = Shape(kind, ways[k % 2], k % 4 == 0, True, "xh"[k % 2], order, names[k // 3 % 3])
        plans.append(Plan(shape, "arguments", False, call=SPREAD))
    for k in range(10):
        kind, names = (("fused", FUSED), ("fused joint", FUSED_JOINT))[k // 2 % 2]
        axes, order = ways[(0, 2, 3, 1)[k % 4]], ORDERS[(5 * k + 3) % 24]
        shape = Shape(kind, axes, axes == "batch" and k > 4, True, "xh"[k % 2], order, names[k % 3])
        plans.append(Plan(shape, ["dict", "tuple", "named tuple", "dict", "list"][k % 5], k % 2 == 0))
    for k in range(2):
        shape = Shape("packed", "batch", k == 1, order=ORDERS[5 + k], names=FUSED[k])
        plans.append(Plan(shape, "dict"))
    for k, plan in enumerate(plans):
        yield written(k, "numpy", plan)
