"""Where the weights of a function of arrays are: the arrays' shapes and names, and what they come in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations

from doctor_cells_text import GATES, Axes, mapping

ORDERS = list(permutations(GATES))


@dataclass(frozen=True)
class Leaf:
    """One array: its gate ("" for a fused one), its role W, U or b, its shape in I and H, and its name."""

    gate: str
    role: str
    shape: str
    name: str


@dataclass(frozen=True)
class Shape:
    """Where the weights are and how a product with them is taken.

    Attributes:
        kind: "separate" W [H, H], U [H, I]; "joint" [H, I + H]; "fused" [4 H, …]; "fused joint"; "packed"
            [4, H, …].
        axes: of x, h and c.
        transposed: the matrices are [inputs, outputs].
        bias: whether there is one.
        first: "x" or "h", of the joined vector.
        order: of the gates in a fused array, and of the separate arrays.
        names: role → pattern of a name, and the letters of the gates.
    """

    kind: str
    axes: Axes = "batch"
    transposed: bool = False
    bias: bool = True
    first: str = "x"
    order: tuple[str, ...] = GATES
    names: tuple[str, str, str, str] = ("U_{}", "W_{}", "b_{}", "ifoc")

    def leaves(self) -> list[Leaf]:
        """The arrays, gate by gate."""
        fused, letters = (
            self.kind.startswith(("fused", "packed")),
            dict(zip(GATES, self.names[3], strict=True)),
        )
        found = []
        for g in [""] if fused else list(self.order):
            letter = letters.get(g, "")
            pattern = dict(zip("UWb", self.names, strict=False))
            roles = ["W", "U"] if self.kind in ("separate", "fused", "packed") else ["W"]
            for role in [*roles, *(["b"] if self.bias else [])]:
                name = pattern[role].format(letter).rstrip("_")
                found.append(Leaf(g, role, self._shape(role), name))
        return found

    def _shape(self, role: str) -> str:
        joint = "H + I" if self.first == "h" else "I + H"
        inputs = {"W": "H" if self.kind in ("separate", "fused", "packed") else joint, "U": "I", "b": "1"}[
            role
        ]
        outputs = "4 * H" if self.kind.startswith("fused") else "H"
        front = "4, " if self.kind == "packed" else ""
        if role == "b":
            return f"{front}{outputs}, 1" if self.axes == "columns" else f"{front}{outputs}"
        return front + (f"{inputs}, {outputs}" if self.transposed else f"{outputs}, {inputs}")

    def weights(self, path: Mapping[str, str]) -> str:
        """The expression gate → (W, U, b), from each leaf's path."""
        return mapping({g: self._weights(g, path) for g in GATES})

    def _weights(self, g: str, path: Mapping[str, str]) -> str:
        gate = "" if self.kind.startswith(("fused", "packed")) else g
        k = self.order.index(g)
        rows = f"[{k}]" if self.kind == "packed" else f"[{k} * H:{k + 1} * H]" if gate == "" else ""
        back = f"{rows}.T" if self.kind == "packed" else f".T{rows}"
        ends = back if self.transposed else rows
        W = path[f"W{gate}"] + ends
        U = path.get(f"U{gate}", "") + ends
        if "joint" in self.kind:
            x, h = ("[:, :I]", "[:, I:]") if self.first == "x" else ("[:, H:]", "[:, :H]")
            W, U = W + h, W + x
        b = (
            f"np.reshape({path[f'b{gate}']}, (-1, H)){f'[{k}]' if not gate else '[0]'}"
            if self.bias
            else "np.zeros(H)"
        )
        return f"({W}, {U}, {b})"


@dataclass(frozen=True)
class Container:
    """How the arrays come; role + gate is the key of each.

    Attributes:
        text: key → how the function reads it.
        path: key → where it is in p.
        build: the text that makes the parameters, with {key} for each array.
        unpack: lines of the function before all others.
        glob: text before the function.
        arguments: what stands for the parameters in the signature, where it is not the one name.
    """

    text: dict[str, str]
    path: dict[str, str]
    build: str
    unpack: list[str] = field(default_factory=list)
    glob: str = ""
    arguments: str = ""


def leaf_key(leaf: Leaf) -> str:
    """By which a layout knows the array: role and gate."""
    return leaf.role + leaf.gate


WORDS = {"i": "input", "f": "forget", "o": "output", "c": "candidate"}


def contain(kind: str, leaves: list[Leaf], p: str) -> Container:
    """The leaves in a container of this kind; p is the name of the argument."""
    names = {leaf_key(leaf): leaf.name for leaf in leaves}
    slots = {key: "{" + key + "}" for key in names}
    listed = ", ".join(names.values())
    if kind == "dict":
        build = "{{" + ", ".join(f"{name!r}: {slots[key]}" for key, name in names.items()) + "}}"
        return Container(_at(p, names), _at("p", names), build)
    if kind in ("tuple", "list"):
        build = ("({})" if kind == "tuple" else "[{}]").format(", ".join(slots.values()))
        path = {key: f"p[{k}]" for k, key in enumerate(names)}
        return Container(names, path, build, [f"{listed} = {p}"])
    if kind == "indexed":
        path = {key: f"p[{k}]" for k, key in enumerate(names)}
        text = {key: f"{p}[{k}]" for k, key in enumerate(names)}
        return Container(text, path, f"[{', '.join(slots.values())}]")
    if kind == "arguments":
        path = {key: f"p[{k}]" for k, key in enumerate(names)}
        return Container(names, path, f"({', '.join(slots.values())})", arguments=listed)
    if kind == "named tuple":
        lines = ["class LSTMParams(NamedTuple):", *(f"    {name}: object" for name in names.values())]
        text = {key: f"{p}.{name}" for key, name in names.items()}
        path = {key: f"p.{name}" for key, name in names.items()}
        build = f"LSTMParams({', '.join(f'{name}={slots[key]}' for key, name in names.items())})"
        return Container(text, path, build, glob="\n".join(lines))
    return _nested(kind, leaves, p)


def _at(p: str, names: Mapping[str, str]) -> dict[str, str]:
    return {key: f'{p}["{name}"]' for key, name in names.items()}


def _nested(kind: str, leaves: list[Leaf], p: str) -> Container:
    """Dicts by gate or by role, or a tuple of tuples; only for arrays of a single gate."""
    gates = list(dict.fromkeys(leaf.gate for leaf in leaves))
    roles = list(dict.fromkeys(leaf.role for leaf in leaves))
    if kind == "gate tuples":
        unpack = ", ".join(
            "(" + ", ".join(leaf.name for leaf in leaves if leaf.gate == g) + ")" for g in gates
        )
        build = ", ".join("(" + ", ".join("{" + r + g + "}" for r in roles) + ")" for g in gates)
        path = {r + g: f"p[{k}][{j}]" for k, g in enumerate(gates) for j, r in enumerate(roles)}
        return Container(
            {leaf_key(leaf): leaf.name for leaf in leaves}, path, f"({build})", [f"{unpack} = {p}"]
        )
    outer, inner = (gates, roles) if kind.startswith("gate") else (roles, gates)
    word = {g: WORDS[g] if "words" in kind else g for g in gates} | {r: r for r in roles}
    where = {
        r + g: f'["{word[g]}"]["{r}"]' if kind.startswith("gate") else f'["{r}"]["{word[g]}"]'
        for g in gates
        for r in roles
    }

    def slot(a: str, b: str) -> str:
        return "{" + (b + a if kind.startswith("gate") else a + b) + "}"

    parts = [
        f"{word[a]!r}: {{{{" + ", ".join(f"{word[b]!r}: {slot(a, b)}" for b in inner) + "}}" for a in outer
    ]
    text = {key: p + end for key, end in where.items()}
    return Container(text, {key: "p" + end for key, end in where.items()}, "{{" + ", ".join(parts) + "}}")
