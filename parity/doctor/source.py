"""What a student's source says of itself: which gate a name claims, and on which line a gate is computed.

Never used to decide whether a cell is right: behaviour decides that. Names break ties between readings that
behaviour cannot tell apart, and tell the student where to look.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Rule = dict[str, str]

_WORDS: Rule = {
    "forget": "f", "forgetgate": "f", "fgate": "f", "remember": "f", "olvido": "f",
    "inputgate": "i", "igate": "i", "update": "i", "entrada": "i",
    "outputgate": "o", "ogate": "o", "salida": "o",
    "candidate": "c", "cand": "c", "candidato": "c", "ctilde": "c", "tilde": "c", "cellgate": "c",
    "cgate": "c", "ggate": "c", "chat": "c", "cbar": "c", "modulation": "c", "memory": "c",
    "forg": "f", "inp": "i", "outp": "o",
}  # fmt: skip
_WEAK: Rule = {"input": "i", "in": "i", "output": "o", "out": "o", "cell": "c", "new": "c", "update": "c"}
_LETTERS: Rule = {"i": "i", "f": "f", "o": "o", "c": "c", "g": "c", "a": "c", "n": "c", "j": "c"}
_PREFIX = r"^(?:w|u|b|v|r|k|l|weight|bias|gate|lin|linear|dense)?"
_PATTERNS = (
    re.compile(_PREFIX + r"[ih]([ifgon])$"),  # weight_ii, weight_hf: PyTorch's documentation
    re.compile(_PREFIX + r"(?:[xh]2?|i2|xh|hx|hh)?([ifocganj])(?:t|g|gate)?$"),
    re.compile(_PREFIX + r"([ifocganj])(?:x|h|xh|hx)$"),
)
_GENERIC = {
    "weight",
    "bias",
    "kernel",
    "linear",
    "lin",
    "layer",
    "gate",
    "gates",
    "w",
    "u",
    "b",
    "x",
    "h",
    "param",
}


def _tokens(name: str) -> list[str]:
    name = re.sub(r"([a-z])([A-Z][a-z])", r"\1_\2", name)
    return [t for t in re.split(r"[^0-9A-Za-z]+", name.lower()) if t]


def _by_word(words: Rule, name: str) -> str | None:
    return next((words[t] for t in reversed(_tokens(name)) if t in words), None)


def _by_pattern(pattern: re.Pattern[str], name: str) -> str | None:
    for token in reversed(_tokens(name)):
        found = pattern.match(token)
        if found and token not in _GENERIC:
            return _LETTERS[found[1]]
    return None


def claims(names: Iterable[str]) -> dict[str, str]:
    """The gate that each parameter's name claims; names that claim none are missing.

    A letter counts only where its way to name gates names two at least: W_ih is a gate's beside W_fh, and not
    beside W_hh.
    """
    names = list(names)
    found = {n: gate for n in names if (gate := _by_word(_WORDS, n))}
    # the second is the plain way, and may add to what words say
    for pattern, least in zip(_PATTERNS, (2, 1 - bool(found), 1), strict=True):
        new = {n: gate for n in names if n not in found and (gate := _by_pattern(pattern, n))}
        if len(set(new.values())) > least:
            found |= new
    new = {n: gate for n in names if n not in found and (gate := _by_word(_WEAK, n))}
    found |= new
    found = _without_update(found)
    left, missing = [n for n in names if n not in found], sorted(set("ifoc") - set(found.values()))
    if len(missing) == 1 and len({n.rpartition(".")[0] for n in left}) == 1:  # one module, one gate
        found |= dict.fromkeys(left, missing[0])
    return found if len(set(found.values())) > 1 else {}


def _without_update(found: dict[str, str]) -> dict[str, str]:
    """With what is called an update, or u, for the one of i and c that no other name claims."""
    updates = {n for n in found if {"update", "u"} & set(_tokens(n)) and found[n] in "ic"}
    claimed = {gate for n, gate in found.items() if n not in updates}
    left = [gate for gate in "ic" if gate not in claimed]
    return found | dict.fromkeys(updates, left[0]) if len(left) == 1 else found


_CANDIDATES = re.compile(
    r"^(g|g_?t|c_?t?_?(tilde|tilda|hat|bar|cand|candidate|prime|in|temp)(_t)?|cct|cc|cand(idate)?(_t)?|"
    r"cell_?(gate|candidate|cand|tilde)|new_?(memory|info|candidate)|c_?(tilde|hat|bar)_?t|g_?gate|candidato|tilde_c)$"
)
_GATE_VARIABLES = re.compile(
    r"^(?:gate_?|z_?|a_?|pre_?|lin_?)?(i|f|o|in|inp|input|forget|forg|output|outp|out|update)"
    r"(?:_?(?:gate|g|lin|pre|raw|act|z|t))*$"
)
_CANDIDATE_PARTS = re.compile(r"^(?:gate_?|z_?|a_?|pre_?|lin_?)(?:c|g)_?t?$|^g(?:_?(?:lin|pre|raw|act|z))+$")
_C_STATE = re.compile(
    r"^(c|c_?t|c_?(next|new|out|n|1|cur|now|prime)|c_?y|cx|c_?t_?1|new_?c|next_?c|cell(_?state)?(_?new)?|new_?cell|C|ct|c_state|self\.c)$",
    re.I,
)
_H_STATE = re.compile(
    r"^(h|h_?t|h_?(next|new|out|n|1|cur|now)|h_?y|hx|new_?h|next_?h|hidden(_?state)?(_?new)?|new_?hidden|ht|a_?next|a_?t|y|self\.h)$",
    re.I,
)


def gate_of_variable(name: str) -> str | None:
    """The gate that a variable's name claims to hold; c and c_t are states."""
    name = name.lower().strip("_")
    if _CANDIDATES.match(name) or _CANDIDATE_PARTS.match(name):
        return "c"
    found = _GATE_VARIABLES.match(name)
    return found[1][0].replace("u", "i") if found else None


_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Assignment:
    """One assigned variable.

    Attributes:
        target: its name; "self.c" for an attribute.
        line: from 1.
        mentions: attributes, keys and variables in what it is assigned.
        value: the expression.
        place: its place in a tuple of targets and how many there are; None where it is alone.
    """

    target: str
    line: int
    mentions: frozenset[str]
    value: ast.expr
    place: tuple[int, int] | None


class Source:
    """The text of a student's file, and of the object examined in it.

    Args:
        text: of the file; it has been compiled already.
        object_name: of the class or function.
    """

    def __init__(self, text: str, object_name: str) -> None:
        self.lines = text.splitlines()
        tree = ast.parse(text)
        defined = [n for n in ast.walk(tree) if isinstance(n, _Definition) and n.name == object_name]
        outer = [n for n in defined if n in tree.body]
        found: list[ast.AST] = [tree, *defined, *outer]
        self.node = found[-1]  # of several at the top Python takes the last, too
        self.body = _body(self.node)
        self.assignments = list(_assignments(self.body))
        self.returns = [n for n in ast.walk(self.body) if isinstance(n, ast.Return) and n.value is not None]

    def alias(self, name: str) -> str:
        """A parameter as the code calls it: a tuple's members have the names that they are unpacked to."""
        if name.isdigit():
            for a in self.assignments:
                if a.place == (int(name), a.place[1] if a.place else 0) and a.place[1] > 4:
                    return a.target
        return name

    def gate_lines(self, gate: str, parameters: Iterable[str] = ()) -> int | None:
        """Where a gate is computed: the last assignment to a variable of its name, or from its parameters."""
        named = [a for a in self.assignments if gate_of_variable(a.target) == gate]
        parts = {p for name in parameters for p in name.split(".")} - _GENERIC
        using = [a for a in self.assignments if a.mentions & parts]
        sharp = [a for a in named if a in using]
        for found in (sharp, named, using if len(using) == 1 else []):
            if found:
                return found[-1].line
        return None

    def state_line(self, state: str) -> int | None:
        """Where "c" or "h" is computed: the last assignment of arithmetic to a variable named like it."""
        pattern = _C_STATE if state == "c" else _H_STATE
        found = [a for a in self.assignments if pattern.match(a.target) and _computes(a.value)]
        return found[-1].line if found else None

    def return_line(self) -> int | None:
        """The last return."""
        return max((r.lineno for r in self.returns), default=None)

    def loop_line(self) -> int | None:
        """The last loop, or scan."""
        nodes: list[ast.stmt | ast.expr] = [
            n for n in ast.walk(self.node) if isinstance(n, (ast.For, ast.While))
        ]
        nodes += [
            n for n in ast.walk(self.node) if isinstance(n, ast.Call) and _called(n) in ("scan", "fori_loop")
        ]
        return max((n.lineno for n in nodes), default=None)

    def word_line(self, pattern: str) -> int | None:
        """The first line that uses a function or an attribute of such a name."""
        own = {a.target for a in self.assignments}
        found = (
            n.lineno
            for n in ast.walk(self.body)
            if (isinstance(n, ast.Attribute) and re.search(pattern, n.attr))
            or (
                isinstance(n, ast.Name)
                and isinstance(n.ctx, ast.Load)
                and n.id not in own
                and re.search(pattern, n.id)
            )
        )
        return min(found, default=None)

    def kept_line(self) -> int | None:
        """Where something is kept in an attribute; None where that is in several places."""
        lines = {a.line for a in self.assignments if a.target.startswith("self.")}
        return lines.pop() if len(lines) == 1 else None

    def in_place_line(self) -> int | None:
        """The first line that looks as if it changed an array: c *= f, c[:] = f, c.mul_(f)."""

        def changes(n: ast.AST) -> bool:
            if isinstance(n, ast.Assign):
                return any(isinstance(t, ast.Subscript) for t in n.targets)
            called = _called(n) if isinstance(n, ast.Call) else ""
            return isinstance(n, ast.AugAssign) or bool(re.search(r"[a-z]_$", called))

        found = (n.lineno for n in ast.walk(self.body) if isinstance(n, ast.stmt | ast.Call) and changes(n))
        return min(found, default=None)

    def start_line(self) -> int | None:
        """Where the states are first given a value in the method that unrolls."""
        found = [
            a
            for a in self.assignments
            if re.match(r"^(self\.)?[hc]", a.target, re.I) and not _computes(a.value)
        ]
        made = [
            a
            for a in self.assignments
            if a.mentions & {"zeros", "zeros_like", "new_zeros", "randn", "ones", "rand"}
        ]
        return min((a.line for a in made or found), default=None)

    def variable_claims(self, names: Iterable[str]) -> dict[str, str]:
        """The gate of the gate-like variable that each parameter flows into directly: of two the first."""
        found: dict[str, dict[str, None]] = {}
        flows: dict[str, frozenset[str]] = {}
        for a in self.assignments:
            reached = a.mentions | frozenset(m for v in a.mentions for m in flows.get(v, ()))
            gate = gate_of_variable(a.target)
            if gate:
                for name in reached:
                    found.setdefault(name, {})[gate] = None
                flows[a.target] = frozenset()
            elif not (_C_STATE.match(a.target) or _H_STATE.match(a.target)):
                flows[a.target] = reached
        out = {}
        for name in names:
            gates = [found[p] for p in name.split(".") if p in found and p not in _GENERIC]
            if gates and all(len(g) < 3 for g in gates):
                out[name] = next(iter(gates[-1]))
        return out

    def fused_order(self) -> tuple[list[str], int] | None:
        """The gates in the order of a fused matrix's cuts, as the variables' names say, and the line."""
        places: dict[int, tuple[str, int]] = {}
        cut = [a for a in self.assignments if a.place and a.place[1] in (3, 4)]
        for a in cut:
            gate = gate_of_variable(a.target)
            if a.place and gate:
                places[a.place[0]] = (gate, a.line)
        missing = set("ifoc") - {g for g, _ in places.values()}
        fourth = [
            (a.place[0], a.line) for a in cut if a.place and a.place[1] == 4 and a.place[0] not in places
        ]
        if len(missing) == len(fourth) == 1:  # it is what the other three are not
            places[fourth[0][0]] = (missing.pop(), fourth[0][1])
        for gate, index, line in self._slices():
            places.setdefault(index, (gate, line))
        late = [(g, n, line) for g, n, line in self._slices() if g not in [p for p, _ in places.values()]]
        unread = sorted({0, 1, 2, 3} - set(places))
        left = [g for g in "ifoc" if g not in [p for p, _ in places.values()]]
        if len(late) == len(unread) == 1:
            gate, index, line = late[0]
            two = [places | {unread[0]: (gate, line)}]
            two.append(places | {unread[0]: places.get(index, ("", 0)), index: (gate, line)})
            # of two gates that read one place, which means the place that nobody reads?
            rising = [p for p in two if is_rising([p[n][1] for n in sorted(p)])]
            places = rising[0] if len(rising) == 1 else {}
        elif len(left) == len(unread) == 1:
            places[unread[0]] = left[0], max(line for _, line in places.values())
        if sorted(places) == [0, 1, 2, 3] and len({g for g, _ in places.values()}) == 4:
            return [places[n][0] for n in range(4)], places[0][1]
        return None

    def _slices(self) -> list[tuple[str, int, int]]:
        """(gate, which quarter it is cut from, line), in the order of the lines."""
        found: list[tuple[str, int, int]] = []
        for a in self.assignments:
            gate = gate_of_variable(a.target)
            index = _first_slice(a.value) if gate and not a.place else None
            if gate and index is not None and gate not in [g for g, _, _ in found]:
                found.append((gate, index, a.line))
        return found

    def written_order(self) -> tuple[list[str], int] | None:
        """An order of four gates that a comment or a docstring states, such as "i, f, g, o", and the line."""
        for number, line in enumerate(self.lines, 1):
            if "#" in line or '"""' in line or not re.search(r"[=()]", line):
                said = line.split("#")[-1]
                found = re.search(
                    r"\b([ifogc])\s*[,|/]\s*([ifogc])\s*[,|/]\s*([ifogc])\s*[,|/]\s*([ifogc])\b", said
                )
                if found and len({_LETTERS[g] for g in found.groups()}) == 4 and not re.search(r"=", said):
                    return [_LETTERS[g] for g in found.groups()], number
        return None


def is_rising(numbers: Sequence[float]) -> bool:
    """Whether each is larger than the one before."""
    return all(a < b for a, b in pairwise(numbers))


def _body(node: ast.AST) -> ast.AST:
    """Of a class its forward method, where it has one by a usual name."""
    if isinstance(node, ast.ClassDef):
        for name in ("forward", "__call__", "step", "cell"):
            for child in node.body:
                if isinstance(child, ast.FunctionDef) and child.name == name:
                    return node if _delegates(child, node) else child
    return node


def _delegates(method: ast.FunctionDef, owner: ast.ClassDef) -> bool:
    """Whether a method calls others of its class, where the work may be."""
    methods = {n.name for n in owner.body if isinstance(n, ast.FunctionDef)}
    return any(isinstance(n, ast.Attribute) and n.attr in methods for n in ast.walk(method))


def _called(node: ast.Call) -> str:
    """The last part of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return None


def _mentions(value: ast.AST) -> frozenset[str]:
    found = set()
    for n in ast.walk(value):
        if isinstance(n, ast.Name):
            found.add(n.id)
        elif isinstance(n, ast.Attribute):
            found.add(n.attr)
        elif isinstance(n, ast.Constant) and isinstance(n.value, str):
            found.add(n.value)
    return frozenset(found)


def _assignments(body: ast.AST) -> Iterator[Assignment]:
    nodes = [
        n for n in ast.walk(body) if isinstance(n, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and n.value
    ]
    for node in sorted(nodes, key=lambda n: n.lineno):
        assert node.value
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from _targets(target, node.value, node.lineno)


def _targets(target: ast.expr, value: ast.expr, line: int) -> Iterator[Assignment]:
    if isinstance(target, (ast.Tuple, ast.List)):
        parts = value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value] * len(target.elts)
        whole = not isinstance(value, (ast.Tuple, ast.List))
        for n, (t, v) in enumerate(zip(target.elts, parts, strict=False)):
            name = _name(t)
            if name:
                yield Assignment(name, line, _mentions(v), v, (n, len(target.elts)) if whole else None)
    elif name := _name(target):
        yield Assignment(name, line, _mentions(value), value, None)


def _computes(value: ast.expr) -> bool:
    """Whether it is arithmetic, and not a mere start value or unpacking."""
    return any(isinstance(n, (ast.BinOp, ast.Call)) for n in ast.walk(value)) and not any(
        isinstance(n, ast.Attribute) and n.attr in ("zeros", "zeros_like", "new_zeros")
        for n in ast.walk(value)
    )


def _first_slice(value: ast.expr) -> int | None:
    """Which quarter a slice such as z[:, 2*H:3*H] or z[2] begins at, every name counting 1."""
    for node in ast.walk(value):
        if isinstance(node, ast.Subscript):
            index = (
                node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
            )
            if isinstance(index, ast.Slice):
                if index.lower is None and index.upper is None:
                    continue
                return 0 if index.lower is None else _count(index.lower)
            if isinstance(index, ast.Constant) and isinstance(index.value, int):
                return index.value
    return None


def _count(node: ast.expr) -> int | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, (ast.Name, ast.Attribute)):
        return 1
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Add)):
        a, b = _count(node.left), _count(node.right)
        beside = isinstance(node.op, ast.Add) and any(
            isinstance(n, ast.Constant) for n in (node.left, node.right)
        )
        if a is None or b is None or beside:  # H + 1 is no bound of a quarter
            return None
        return a * b if isinstance(node.op, ast.Mult) else a + b
    return None


def claims_of(source: Source, names: Iterable[str], called: Mapping[str, str]) -> dict[str, str]:
    """The gate that each parameter claims: by its own name, else by the variable it flows into.

    Args:
        called: `claims` of the parameters as the code calls them.
    """
    by_name = {n: called[source.alias(n)] for n in names if source.alias(n) in called}
    return {**source.variable_claims([n for n in names if n not in by_name]), **by_name}
