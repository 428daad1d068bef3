"""The layouts of a torch cell's parameters: what `__init__` makes, and where the weights lie in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from doctor_cells_text import GATES, choose

ORDERS = list(permutations(GATES))


@dataclass(frozen=True)
class Names:
    """The names one file uses: the sizes, the inputs of `forward`, and gate → its local variable."""

    I: str  # noqa: E741
    H: str
    x: str
    h: str
    gate: Mapping[str, str]
    seed: str

    def cat(self, first: str) -> tuple[str, str]:
        """The line that joins the input and the state, the `first` of "x" and "h" first, and its name."""
        name = choose(["xh", "combined", "z", "concat"], "cat", self.seed) if first == "x" else "hx_cat"
        a, b = (self.x, self.h) if first == "x" else (self.h, self.x)
        spelled = choose(
            ["cat([{}], dim=1)", "cat(({}), 1)", "cat([{}], dim=-1)", "hstack(({}))", "concat([{}], dim=1)"],
            first,
            self.seed,
        )
        return f"{name} = torch.{spelled.format(f'{a}, {b}')}", name


@dataclass(frozen=True)
class Layout:
    """Where the parameters are.

    Attributes:
        style: in words.
        init: lines of `__init__`.
        z: gate → its pre-activation, or the gate itself where `active`.
        weights: gate → the text "(W, U, b)", from p.
        pre: lines of `forward` before the gates.
        glob: text before the class.
    """

    style: str
    init: list[str]
    z: Mapping[str, str]
    weights: Mapping[str, str]
    pre: list[str] = field(default_factory=list)
    glob: str = ""
    active: bool = False


def _halves(matrix: str, first: str) -> tuple[str, str]:
    """The texts W and U of a matrix [H, I + H] or [H, H + I]."""
    if first == "x":
        return f"{matrix}[:, I:]", f"{matrix}[:, :I]"
    return f"{matrix}[:, :H]", f"{matrix}[:, H:]"


def _triple(W: str, U: str, b: str) -> str:
    """The text of one gate's weights."""
    return f"({W}, {U}, {b})"


def _p(name: str) -> str:
    """The text of a parameter."""
    return f"p[{name!r}]"


def _of_linear(name: str, first: str, bias: bool = True) -> str:
    """The weights of a gate that is one Linear over [x, h] or [h, x]."""
    return _triple(*_halves(_p(f"{name}.weight"), first), _p(f"{name}.bias") if bias else NO_BIAS)


NO_BIAS = "np.zeros(H)"
ONE_EACH = [
    dict(zip(GATES, names.split(), strict=True))
    for names in [
        "W_i W_f W_o W_c",
        "Wi Wf Wo Wg",
        "input_gate forget_gate output_gate cell_gate",
        "linear_i linear_f linear_o linear_c",
        "gate_i gate_f gate_o candidate",
        "fc1 fc2 fc3 fc4",
        "i_layer f_layer o_layer c_tilde_layer",
        "W_input W_forget W_output W_candidate",
        "lin_i lin_f lin_o lin_n",
        "to_i to_f to_o to_g",
    ]
]
TWO_EACH = [
    ("w_x{}", "w_h{}", "ifoc"),
    ("U_{}", "W_{}", "ifoc"),
    ("W_i{}", "W_h{}", "ifog"),
    ("x2{}", "h2{}", "ifog"),
    ("{}_input", "{}_hidden", "ifon"),
    ("U{}", "W{}", "ifoc"),
    ("lin_x_{}", "lin_h_{}", ("in", "forget", "out", "cand")),
]


def one_linear(n: Names, attrs: Mapping[str, str], first: str, bias: bool = True) -> Layout:
    """One nn.Linear per gate over [x, h] or [h, x]."""
    line, xh = n.cat(first)
    both = f"{n.I} + {n.H}" if first == "x" else f"{n.H} + {n.I}"
    end = "" if bias else ", bias=False"
    return Layout(
        f"one Linear per gate over [{first}, …], {attrs['i']}{'' if bias else ', no bias'}",
        [f"self.{a} = nn.Linear({both}, {n.H}{end})" for a in attrs.values()],
        {g: f"self.{a}({xh})" for g, a in attrs.items()},
        {g: _of_linear(a, first, bias) for g, a in attrs.items()},
        [line],
    )


def two_linears(n: Names, names: tuple[str, str, Sequence[str]], biases: str) -> Layout:
    """A Linear for x and another for h per gate; `biases` says which have one: "x", "h", "xh" or ""."""
    xs = {g: names[0].format(letter) for g, letter in zip(GATES, names[2], strict=True)}
    hs = {g: names[1].format(letter) for g, letter in zip(GATES, names[2], strict=True)}
    end = {side: "" if side in biases else ", bias=False" for side in "xh"}
    init = [f"self.{xs[g]} = nn.Linear({n.I}, {n.H}{end['x']})" for g in GATES]
    init += [f"self.{hs[g]} = nn.Linear({n.H}, {n.H}{end['h']})" for g in GATES]
    if choose([True, False], "by gate", n.seed):
        init = [line for pair in zip(init[:4], init[4:], strict=True) for line in pair]
    sides = {"x": xs, "h": hs}
    bias = {g: " + ".join(f"p['{sides[s][g]}.bias']" for s in biases) or NO_BIAS for g in GATES}
    return Layout(
        f"two Linears per gate, {xs['i']} and {hs['i']}, bias on {' and '.join(biases) or 'neither'}",
        init,
        {g: f"self.{xs[g]}({n.x}) + self.{hs[g]}({n.h})" for g in GATES},
        {g: _triple(_p(f"{hs[g]}.weight"), _p(f"{xs[g]}.weight"), bias[g]) for g in GATES},
    )


def _parameter(n: Names, rows: str, columns: str = "") -> str:
    """The text of a new nn.Parameter of these sizes."""
    shape = f"{rows}, {columns}" if columns else rows
    spelled = [
        f"nn.Parameter(torch.randn({shape}) * 0.1)",
        f"nn.Parameter(torch.empty({shape}).uniform_(-0.2, 0.2))",
        f"nn.Parameter(torch.rand({shape}) - 0.5)",
    ]
    return choose(spelled, "parameter", n.seed) if columns else f"nn.Parameter(torch.zeros({shape}))"


def _product(x: str, matrix: str, transposed: bool, seed: str) -> str:
    """The text of a product over a batch; `transposed`: the matrix is [inputs, outputs]."""
    if transposed:
        return choose(["{} @ {}", "torch.matmul({}, {})", "torch.mm({}, {})"], seed).format(x, matrix)
    spelled = ["{} @ {}.T", "F.linear({}, {})", "torch.matmul({}, {}.t())", "{}.mm({}.transpose(0, 1))"]
    return choose([*spelled, "torch.einsum('bi,hi->bh', {}, {})"], seed).format(x, matrix)


def matrices(
    n: Names, names: tuple[str, str, str, Sequence[str]], transposed: bool, bias: bool = True
) -> Layout:
    """nn.Parameter matrices, [H, I] and [H, H] or transposed; names for x, h, b and the gates."""
    x, h, b = ({g: name.format(s) for g, s in zip(GATES, names[3], strict=True)} for name in names[:3])
    init = [f"self.{x[g]} = {_parameter(n, *((n.I, n.H) if transposed else (n.H, n.I)))}" for g in GATES]
    init += [f"self.{h[g]} = {_parameter(n, n.H, n.H)}" for g in GATES]
    init += [f"self.{b[g]} = {_parameter(n, n.H)}" for g in GATES if bias]
    end, t = {g: f" + self.{b[g]}" if bias else "" for g in GATES}, ".T" if transposed else ""
    z = {
        g: f"{_product(n.x, f'self.{x[g]}', transposed, n.seed)}"
        f" + {_product(n.h, f'self.{h[g]}', transposed, n.seed)}{end[g]}"
        for g in GATES
    }
    return Layout(
        f"Parameters {x['i']}, {h['i']}{', transposed' if transposed else ''}{'' if bias else ', no bias'}",
        init,
        z,
        {g: _triple(_p(h[g]) + t, _p(x[g]) + t, _p(b[g]) if bias else NO_BIAS) for g in GATES},
    )


def one_matrix(n: Names, first: str, transposed: bool) -> Layout:
    """One nn.Parameter per gate over [x, h] or [h, x], and a bias."""
    line, xh = n.cat(first)
    shape = (f"{n.I} + {n.H}", n.H) if transposed else (n.H, f"{n.I} + {n.H}")
    init = [f"self.W_{g} = {_parameter(n, *shape)}" for g in GATES]
    init += [f"self.b_{g} = {_parameter(n, n.H)}" for g in GATES]
    t = ".T" if transposed else ""
    return Layout(
        f"one Parameter per gate over [{first}, …]{', transposed' if transposed else ''}",
        init,
        {g: f"{_product(xh, f'self.W_{g}', transposed, n.seed)} + self.b_{g}" for g in GATES},
        {g: _triple(*_halves(f"p['W_{g}']{t}", first), f"p['b_{g}']") for g in GATES},
        [line],
    )


def _rows(matrix: str, k: int) -> str:
    """The rows of gate k in a fused matrix or vector."""
    return f"{matrix}[{k} * H:{k + 1} * H]"


def _apart(n: Names, order: tuple[str, ...], how: str) -> list[str]:
    """The lines that take the fused pre-activations `gates` [B, 4 H] apart."""
    names, H = ", ".join(n.gate[g] for g in order), f"self.{n.H}"
    if how == "slices":
        edges = ["", *(f"{k} * {H}" if k > 1 else H for k in (1, 2, 3)), ""]
        return [f"{n.gate[g]} = gates[:, {edges[k]}:{edges[k + 1]}]" for k, g in enumerate(order)]
    spelled = {
        "chunk": "gates.chunk(4, dim=1)",
        "torch.chunk": "torch.chunk(gates, 4, 1)",
        "split": f"gates.split({H}, dim=1)",
        "torch.split": f"torch.split(gates, {H}, dim=-1)",
        "unbind": f"gates.view(-1, 4, {H}).unbind(1)",
        "interleaved": f"gates.reshape(-1, {H}, 4).unbind(-1)",
        "rows": f"gates.view(gates.size(0), 4, {H}).transpose(0, 1)",
    }
    return [f"{names} = {spelled[how]}"]


FUSED = ["one x", "two", "one h", "two biases", "parameters", "parameter", "x bias"]
APART = ["chunk", "slices", "split", "torch.chunk", "unbind", "torch.split", "rows"]


def fused(n: Names, order: tuple[str, ...], kind: str, how: str) -> Layout:
    """All gates in one matrix or two, [4 H, …], in the given order."""
    init, line, z, (W, U, b) = _fused_parts(n, kind)
    rows = {g: k for k, g in enumerate(order)}

    def weights(g: str) -> str:
        if how == "interleaved":
            return _triple(*(f"({part})[{rows[g]}::4]" for part in (W, U, b)))
        return _triple(*(_rows(f"({part})", rows[g]) for part in (W, U, b)))

    return Layout(
        f"fused {kind}, order {''.join(order)}, by {how}",
        init,
        {g: n.gate[g] for g in GATES},
        {g: weights(g) for g in GATES},
        [line, f"gates = {z}", *_apart(n, order, how)],
    )


def _fused_parts(n: Names, kind: str) -> tuple[list[str], str, str, tuple[str, str, str]]:
    """Lines of `__init__`, the line that joins x and h or "", the fused product, and its W, U, b [4 H, …]."""
    I, H, x, h = n.I, n.H, n.x, n.h  # noqa: E741
    if kind.startswith("one"):
        name = choose(["linear", "gates", "W", "fc", "proj"], "fused", n.seed)
        line, xh = n.cat(kind[-1])
        parts = (*_halves(_p(f"{name}.weight"), kind[-1]), _p(f"{name}.bias"))
        return [f"self.{name} = nn.Linear({I} + {H}, 4 * {H})"], line, f"self.{name}({xh})", parts
    if kind == "parameter":
        line, xh = n.cat("x")
        init = [
            f"self.W = {_parameter(n, f'{I} + {H}', f'4 * {H}')}",
            f"self.b = {_parameter(n, f'4 * {H}')}",
        ]
        return init, line, f"{xh} @ self.W + self.b", ("p['W'][I:].T", "p['W'][:I].T", "p['b']")
    if kind == "parameters":
        init = [
            f"self.weight_ih = {_parameter(n, f'4 * {H}', I)}",
            f"self.weight_hh = {_parameter(n, f'4 * {H}', H)}",
        ]
        init += [f"self.bias_{s}h = {_parameter(n, f'4 * {H}')}" for s in "ih"]
        z = f"F.linear({x}, self.weight_ih, self.bias_ih) + F.linear({h}, self.weight_hh, self.bias_hh)"
        return init, "", z, ("p['weight_hh']", "p['weight_ih']", "p['bias_ih'] + p['bias_hh']")
    a, r = choose([("i2h", "h2h"), ("x_proj", "h_proj"), ("W_x", "W_h"), ("ih", "hh")], "fused", n.seed)
    ends = {"two": (", bias=False", ""), "two biases": ("", ""), "x bias": ("", ", bias=False")}[kind]
    init = [f"self.{a} = nn.Linear({I}, 4 * {H}{ends[0]})", f"self.{r} = nn.Linear({H}, 4 * {H}{ends[1]})"]
    b = " + ".join(f"p['{s}.bias']" for s, end in zip((a, r), ends, strict=True) if not end)
    return init, "", f"self.{a}({x}) + self.{r}({h})", (f"p['{r}.weight']", f"p['{a}.weight']", b)


def joint_activation(n: Names, order: tuple[str, ...]) -> Layout:
    """Fused, with the candidate last, and one σ for the three gates together."""
    base = fused(n, order, "two", "chunk")
    H, names = f"self.{n.H}", ", ".join(n.gate[g] for g in order[:3])
    pre = [
        *base.pre[:2],
        f"{names} = torch.sigmoid(gates[:, : 3 * {H}]).chunk(3, dim=1)",
        f"{n.gate['c']} = torch.tanh(gates[:, 3 * {H} :])",
    ]
    style = f"fused, order {''.join(order)}, one sigmoid for three"
    return Layout(style, base.init, base.z, base.weights, pre, active=True)


def packed(n: Names, order: tuple[str, ...], transposed: bool) -> Layout:
    """[4, H, I] and [4, H, H] with einsum, or [4, I, H] with matmul."""
    shape = f"{n.I}, {n.H}" if transposed else f"{n.H}, {n.I}"
    init = [f"self.U = nn.Parameter(torch.randn(4, {shape}) * 0.1)"]
    init += [f"self.W = nn.Parameter(torch.randn(4, {n.H}, {n.H}) * 0.1)"]
    init += [f"self.b = nn.Parameter(torch.zeros(4, {n.H}))"]
    z = f"torch.einsum('bi,ghi->gbh', {n.x}, self.U) + torch.einsum('bj,ghj->gbh', {n.h}, self.W)"
    if transposed:
        z = f"torch.matmul({n.x}, self.U) + torch.matmul({n.h}, self.W)"
    t, names = ".T" if transposed else "", ", ".join(n.gate[g] for g in order)
    return Layout(
        f"packed [4, {'I, H' if transposed else 'H, I'}], order {''.join(order)}",
        init,
        dict(n.gate),
        {g: f"(p['W'][{k}]{t}, p['U'][{k}]{t}, p['b'][{k}])" for k, g in enumerate(order)},
        [f"gates = {z} + self.b.unsqueeze(1)", f"{names} = gates"],
    )


def flat(n: Names, order: tuple[str, ...], by_gate: bool) -> Layout:
    """All parameters in one vector: first all U, all W, all b, or gate by gate."""
    I, H = f"self.{n.I}", f"self.{n.H}"  # noqa: E741
    init = [
        f"self.{n.I} = {n.I}",
        f"self.theta = nn.Parameter(torch.randn(4 * {n.H} * ({n.I} + {n.H} + 1)) * 0.1)",
    ]
    if by_gate:
        pre = [
            f"rows = self.theta.view(4 * {H}, {I} + {H} + 1)",
            f"U, W, b = rows.split([{I}, {H}, 1], dim=1)",
        ]
        pre += [f"gates = {n.x} @ U.T + {n.h} @ W.T + b.squeeze(1)"]
        row = "p['theta'].reshape(4 * H, -1)"
        weights = {
            g: ", ".join(f"{_rows(row, k)}{s}" for s in ("[:, I:-1]", "[:, :I]", "[:, -1]"))
            for k, g in enumerate(order)
        }
    else:
        pre = [f"n_U, n_W = 4 * {H} * {I}, 4 * {H} * {H}", f"U = self.theta[:n_U].view(4 * {H}, {I})"]
        pre += [f"W = self.theta[n_U : n_U + n_W].view(4 * {H}, {H})", "b = self.theta[n_U + n_W :]"]
        pre += [f"gates = {n.x} @ U.t() + {n.h} @ W.t() + b"]
        parts = (
            "p['theta'][4 * H * I:-4 * H].reshape(4 * H, H)",
            "p['theta'][:4 * H * I].reshape(4 * H, I)",
            "p['theta'][-4 * H:]",
        )
        weights = {g: ", ".join(_rows(part, k) for part in parts) for k, g in enumerate(order)}
    return Layout(
        f"one flat vector, {'gate by gate' if by_gate else 'U, W, b'}, order {''.join(order)}",
        init,
        dict(n.gate),
        {g: f"({text})" for g, text in weights.items()},
        [*pre, f"{', '.join(n.gate[g] for g in order)} = gates.chunk(4, dim=1)"],
    )


def module_dict(n: Names, keys: str, first: str) -> Layout:
    """The gates in an nn.ModuleDict."""
    key = dict(zip(GATES, keys.split(), strict=True))
    line, xh = n.cat(first)
    lines = [f"    {key[g]!r}: nn.Linear({n.I} + {n.H}, {n.H})," for g in GATES]
    return Layout(
        f"ModuleDict with {key['i']!r}, [{first}, …]",
        ["self.gates = nn.ModuleDict({", *lines, "})"],
        {g: f"self.gates[{key[g]!r}]({xh})" for g in GATES},
        {g: _of_linear(f"gates.{key[g]}", first) for g in GATES},
        [line],
    )


def module_list(n: Names, order: tuple[str, ...], at_once: bool) -> Layout:
    """The gates in an nn.ModuleList of Linears over [x, h]."""
    line, xh = n.cat("x")
    init = f"self.gates = nn.ModuleList([nn.Linear({n.I} + {n.H}, {n.H}) for _ in range(4)])"
    names = ", ".join(n.gate[g] for g in order)
    unpack = [f"{names} = (gate({xh}) for gate in self.gates)"] if at_once else []
    return Layout(
        f"ModuleList, order {''.join(order)}",
        [init],
        {g: n.gate[g] if at_once else f"self.gates[{k}]({xh})" for k, g in enumerate(order)},
        {g: _of_linear(f"gates.{k}", "x") for k, g in enumerate(order)},
        [line, *unpack],
    )


def parameter_dict(n: Names, candidate: str) -> Layout:
    """The parameters in an nn.ParameterDict."""
    key = dict(zip(GATES, ("i", "f", "o", candidate), strict=True))
    lines = []
    for g in GATES:
        lines += [
            f"    'W_{key[g]}': {_parameter(n, n.H, n.H)},",
            f"    'U_{key[g]}': {_parameter(n, n.H, n.I)},",
        ]
        lines += [f"    'b_{key[g]}': {_parameter(n, n.H)},"]
    return Layout(
        f"ParameterDict, candidate {candidate}",
        ["self.params = nn.ParameterDict({", *lines, "})"],
        {
            g: f"F.linear({n.h}, p['W_{key[g]}']) + F.linear({n.x}, p['U_{key[g]}'], p['b_{key[g]}'])"
            for g in GATES
        },
        {g: "(" + ", ".join(f"p['params.{s}_{key[g]}']" for s in "WUb") + ")" for g in GATES},
        ["p = self.params"],
    )


def parameter_list(n: Names, order: tuple[str, ...]) -> Layout:
    """The parameters in nn.ParameterLists: input weights, recurrent weights, biases."""
    init = [
        f"self.U = nn.ParameterList([{_parameter(n, n.I, n.H)} for _ in range(4)])",
        f"self.W = nn.ParameterList([{_parameter(n, n.H, n.H)} for _ in range(4)])",
        f"self.b = nn.ParameterList([{_parameter(n, n.H)} for _ in range(4)])",
    ]
    return Layout(
        f"ParameterList, order {''.join(order)}",
        init,
        {g: f"{n.x} @ self.U[{k}] + {n.h} @ self.W[{k}] + self.b[{k}]" for k, g in enumerate(order)},
        {g: f"(p['W.{k}'].T, p['U.{k}'].T, p['b.{k}'])" for k, g in enumerate(order)},
    )


_GATE = """class Gate(nn.Module):
    def __init__(self, n_in, n_out{more}):
        super().__init__()
        self.from_x = nn.Linear(n_in, n_out)
        self.from_h = nn.Linear(n_out, n_out, bias=False){keep}

    def forward(self, x, h):
        return {result}
"""


def submodules(n: Names, attrs: Mapping[str, str], active: bool) -> Layout:
    """A module of its own for a gate, with its activation or without."""
    glob = _GATE.format(more="", keep="", result="self.from_x(x) + self.from_h(h)")
    if active:
        keep = "\n        self.activation = activation"
        result = "self.activation(self.from_x(x) + self.from_h(h))"
        glob = _GATE.format(more=", activation", keep=keep, result=result)
    act = {g: f", torch.{'tanh' if g == 'c' else 'sigmoid'}" if active else "" for g in GATES}
    return Layout(
        f"a module per gate{' with its activation' if active else ''}, {attrs['i']}",
        [f"self.{attrs[g]} = Gate({n.I}, {n.H}{act[g]})" for g in GATES],
        {g: f"self.{attrs[g]}({n.x}, {n.h})" for g in GATES},
        {
            g: f"(p['{a}.from_h.weight'], p['{a}.from_x.weight'], p['{a}.from_x.bias'])"
            for g, a in attrs.items()
        },
        glob=glob,
        active=active,
    )


def sequential(n: Names, attrs: Mapping[str, str], first: str) -> Layout:
    """nn.Sequential(Linear, Sigmoid) per gate."""
    base = one_linear(n, attrs, first)
    act = {g: "nn.Tanh()" if g == "c" else "nn.Sigmoid()" for g in GATES}
    init = [
        f"self.{attrs[g]} = nn.Sequential({line.split(' = ')[1]}, {act[g]})"
        for g, line in zip(attrs, base.init, strict=True)
    ]
    weights = {
        g: text.replace(".weight", ".0.weight").replace(".bias", ".0.bias")
        for g, text in base.weights.items()
    }
    style = f"Sequential per gate, {attrs['i']}, [{first}, …]"
    return Layout(style, init, base.z, weights, base.pre, active=True)


def layouts(n: Names) -> list[Layout]:
    """Every layout with these names. The list has the same length and order for all names."""
    found = [one_linear(n, attrs, first) for first in "xh" for attrs in ONE_EACH]
    found += [one_linear(n, ONE_EACH[k], "xh"[k], bias=False) for k in (0, 1)]
    found += [two_linears(n, names, biases) for names in TWO_EACH for biases in ("h", "xh")]
    found += [two_linears(n, TWO_EACH[k], biases) for k, biases in ((0, "x"), (3, "x"), (1, ""), (6, ""))]
    for names in [
        ("U_{}", "W_{}", "b_{}", "ifoc"),
        ("W_x{}", "W_h{}", "b_{}", "ifog"),
        ("Wx{}", "Wh{}", "b{}", "ifoc"),
    ]:
        found += [matrices(n, names, transposed) for transposed in (False, True)]
    other = ("W_{}", "U_{}", "b_{}", ("in", "forget", "out", "cell"))
    found += [matrices(n, other, transposed, bias=transposed) for transposed in (False, True)]
    found += [matrices(n, ("w_i{}", "w_h{}", "b_{}", "ifon"), True, bias=False)]
    found += [one_matrix(n, first, transposed) for first in "xh" for transposed in (False, True)]
    for k, order in enumerate(ORDERS):
        found += [fused(n, order, FUSED[k % 7], APART[(k + k // 7) % 7])]
    for k, order in enumerate(ORDERS[1::3]):
        found += [fused(n, order, FUSED[(k + 3) % 7], APART[(k + 1) % 7])]
    found += [joint_activation(n, order) for order in ORDERS if order[3] == "c"][:4]
    found += [
        packed(n, ORDERS[k], transposed) for k, transposed in ((0, False), (9, False), (1, True), (14, True))
    ]
    found += [
        fused(n, ORDERS[k], kind, "interleaved") for k, kind in ((0, "two"), (1, "one x"), (21, "parameters"))
    ]
    found += [flat(n, ORDERS[k], by_gate) for k, by_gate in ((0, False), (7, False), (1, True), (16, True))]
    found += [module_dict(n, "i f o g", "x"), module_dict(n, "input forget output candidate", "h")]
    found += [module_dict(n, "in_gate forget_gate out_gate c_tilde", "x")]
    found += [module_list(n, ORDERS[k], at_once) for k, at_once in ((0, False), (1, True), (11, True))]
    found += [parameter_dict(n, "c"), parameter_dict(n, "g")]
    found += [parameter_list(n, ORDERS[0]), parameter_list(n, ORDERS[8])]
    found += [submodules(n, ONE_EACH[k], active) for k, active in ((2, True), (4, False), (5, True))]
    return found + [sequential(n, ONE_EACH[k], first) for k, first in ((2, "x"), (0, "h"), (5, "x"))]
