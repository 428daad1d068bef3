"""Correct cells as torch modules: every layout of the parameters, in turn with every form of `forward`."""

from collections.abc import Iterator
from dataclasses import dataclass

from doctor_cells_text import GATES, Right, Spelling, choose, indented, joined, mapping, update, wrapped
from doctor_cells_torch_layouts import ORDERS, Layout, Names, layouts
from doctor_cells_torch_whole import whole_cells

SIZES = [
    ("input_size", "hidden_size", "input_size, hidden_size"),
    ("input_size", "hidden_size", "input_size: int, hidden_size: int"),
    ("input_dim", "hidden_dim", "input_dim, hidden_dim"),
    ("n_in", "n_hidden", "n_in, n_hidden"),
    ("I", "H", "I, H"),
    ("in_features", "hidden_features", "in_features, hidden_features"),
    ("input_size", "hidden_size", "input_size=28, hidden_size=32"),
    ("d_in", "d_hidden", "d_in, d_hidden"),
]
CLASSES = ["ManualLSTMCell", "ManualLSTMCell", "LSTMCell", "MyLSTMCell", "CustomLSTM", "Cell"]
LOCALS = [
    ("i_t", "f_t", "o_t", "c_tilde"),
    ("i", "f", "o", "g"),
    ("input_gate", "forget_gate", "output_gate", "candidate"),
    ("it", "ft", "ot", "c_hat"),
    ("i_gate", "f_gate", "o_gate", "n"),
    ("inp_g", "forget_g", "out_g", "cell_gate"),
]
SIGMOIDS = [
    *[Spelling("torch.sigmoid({z})")] * 4,
    Spelling("{(z)}.sigmoid()"),
    Spelling("F.sigmoid({z})"),
    Spelling("1 / (1 + torch.exp(-{(z)}))"),
    Spelling("0.5 * (torch.tanh({(z)} / 2) + 1)"),
    Spelling("self.sigmoid({z})", init="self.sigmoid = nn.Sigmoid()"),
    Spelling("torch.special.expit({z})"),
    Spelling("sigmoid({z})", glob="def sigmoid(z):\n    return 1.0 / (1.0 + torch.exp(-z))"),
    Spelling("torch.reciprocal(1 + torch.exp(-{(z)}))"),
]
TANHS = [
    *[Spelling("torch.tanh({z})")] * 4,
    Spelling("{(z)}.tanh()"),
    Spelling("F.tanh({z})"),
    Spelling("2 * torch.sigmoid(2 * {(z)}) - 1"),
    Spelling("self.tanh({z})", init="self.tanh = nn.Tanh()"),
]


@dataclass(frozen=True)
class Form:
    """How `forward` is called: the names of x, h, c and of the new states, result, use, first lines."""

    signature: str
    x: str
    h: str
    c: str
    h_new: str
    c_new: str
    result: str = "{h}, {c}"
    use: str = "h, c = cell(x, h, c)"
    before: tuple[str, ...] = ()


_TENSORS = "x: torch.Tensor, h_prev: torch.Tensor, c_prev: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]"
_PAIR = "h, c = cell(x, (h, c))"
_NESTED = "_, (h, c) = cell(x, (h, c))"
_ZEROS = (
    "if state is None:",
    "    h = torch.zeros(x.shape[0], {H}, dtype=x.dtype, device=x.device)",
    "    c = torch.zeros_like(h)",
    "else:",
    "    h, c = state",
)
_NEW_ZEROS = (
    "if hx is None:",
    "    zeros = inp.new_zeros(inp.size(0), {H})",
    "    hx = (zeros, zeros)",
    "h_prev, c_prev = hx",
)
_EACH_ZEROS = (
    "h = x.new_zeros(len(x), {H}) if h is None else h",
    "c = x.new_zeros(len(x), {H}) if c is None else c",
)
FORMS = [
    Form("x, h_prev, c_prev)", "x", "h_prev", "c_prev", "h_t", "c_t"),
    Form("inp, hx, cx)", "inp", "hx", "cx", "hy", "cy"),
    Form("x, state)", "x", "h", "c", "h_new", "c_new", use=_PAIR, before=("h, c = state",)),
    Form("x, hc)", "x", "h_prev", "c_prev", "h", "c", "({h}, {c})", _PAIR, ("(h_prev, c_prev) = hc",)),
    Form("x, h, c)", "x", "h", "c", "h_next", "c_next", "{c}, {h}", "c, h = cell(x, h, c)"),
    Form("x, state)", "x", "h", "c", "h_t", "c_t", "{c}, {h}", "c, h = cell(x, (c, h))", ("c, h = state",)),
    Form("x, state)", "x", "h", "c", "h_1", "c_1", "{h}, ({h}, {c})", _NESTED, ("h, c = state",)),
    Form("x_t, hidden, cell)", "x_t", "hidden", "cell", "hidden", "cell"),
    Form("x, h, c)", "x", "h", "c", "h", "c"),
    Form("x, state=None)", "x", "h", "c", "h_t", "c_t", use=_PAIR, before=_ZEROS),
    Form("inp, hx=None)", "inp", "h_prev", "c_prev", "hy", "cy", use=_PAIR, before=_NEW_ZEROS),
    Form("x, h=None, c=None)", "x", "h", "c", "h_t", "c_t", before=_EACH_ZEROS),
    Form("x, h_t_1, c_t_1)", "x", "h_t_1", "c_t_1", "h_t", "c_t"),
    Form("x, state)", "x", "h", "c", "h", "c", use=_PAIR, before=("h = state[0]", "c = state[1]")),
    Form("x, h, c)", "x", "h", "c", "h_t", "c_t", "{h}, {c}, {i}, {f}, {o}, {g}", "h, c, *_ = cell(x, h, c)"),
    Form("x, h, c)", "x", "h", "c", "h1", "c1", "{h}, {c}, ({i}, {f}, {o}, {g})", "h, c, _ = cell(x, h, c)"),
    Form("h_prev, c_prev, x)", "x", "h_prev", "c_prev", "h_t", "c_t", use="h, c = cell(h, c, x)"),
    Form(_TENSORS, "x", "h_prev", "c_prev", "h_t", "c_t"),
]  # fmt: skip


def _header(text: str, seed: str) -> str:
    """The imports that the text needs."""
    nn = choose(["import torch.nn as nn", "from torch import nn"], "import", seed)
    return "import torch\n" + nn + ("\nimport torch.nn.functional as F" if "F." in text else "")


def _written(k: int, form: Form) -> Right:
    """Layout k in this form."""
    seed = f"torch {k}"
    I, H, arguments = choose(SIZES, "sizes", seed)  # noqa: E741
    local = dict(zip(GATES, choose(LOCALS, "locals", seed), strict=True))
    n = Names(I, H, form.x, form.h, local, seed)
    layout = layouts(n)[k]
    σ, tanh = choose(SIGMOIDS, "sigmoid", seed), choose(TANHS, "tanh", seed)
    name = choose(CLASSES, "class", seed)
    init = ["super().__init__()", f"self.{H} = {H}", *layout.init, *dict.fromkeys((σ.init, tanh.init))]
    lines = [line.replace("{H}", f"self.{H}") for line in form.before] + layout.pre
    gates = [f"{local[g]} = {_gate(layout, g, σ, tanh)}" for g in choose(ORDERS, "written", seed)]
    lines += [line for line in gates if line.split(" = ")[0] != line.split(" = ")[1]]
    lines += update(local, form.c, form.c_new, "torch.mul", seed)
    squashed = tanh.of(form.c_new)
    product = choose(
        [f"{local['o']} * {wrapped(squashed)}", f"{wrapped(squashed)} * {local['o']}"], "h", seed
    )
    result = form.result.format(h=form.h_new, c=form.c_new, g=local["c"], **{g: local[g] for g in "ifo"})
    lines += [f"{form.h_new} = {product}", f"return {result}"]
    body = f"class {name}(nn.Module):\n    def __init__(self, {arguments}):\n{indented(init, 2)}\n\n"
    body += f"    def forward(self, {form.signature}:\n{indented(lines, 2)}"
    text = joined(layout.glob, σ.glob, tanh.glob, body)
    style = f"{layout.style}; forward({form.signature}; returns {result}; {σ.of('z')}"
    source = joined(_header(text, seed), text)
    make = f"cell = {name}(I, H)"
    return Right(f"torch-{k:03}", "torch", source, style, name, make, form.use, mapping(layout.weights))


def _gate(layout: Layout, g: str, σ: Spelling, tanh: Spelling) -> str:
    """The text of one gate."""
    return layout.z[g] if layout.active else (tanh if g == "c" else σ).of(layout.z[g])


def torch_cells() -> Iterator[Right]:
    """Some 130 modules: every layout once, the forms of `forward` in turn, and some written out whole."""
    count = len(layouts(Names("I", "H", "x", "h", dict.fromkeys(GATES, ""), "")))
    for k in range(count):
        yield _written(k, FORMS[k % len(FORMS)])
    yield from whole_cells()
