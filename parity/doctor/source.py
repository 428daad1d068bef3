"""What a student's source says of itself: what it assigns, from what, and in which order a matrix is cut.

Never used to decide whether a cell is right: behaviour decides that. Names break ties between readings that
behaviour cannot tell apart, and tell the student where to look.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from parity.doctor.names import C_STATE, GENERIC, H_STATE, LETTERS, gate_of_variable

_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Assignment:
    """One assigned variable, or what is returned.

    Attributes:
        target: its name; "self.c" for an attribute, "return" for what is returned.
        line: from 1.
        value: the expression.
        place: its place in a tuple of targets and how many there are; None where it is alone.
    """

    target: str
    line: int
    value: ast.expr
    place: tuple[int, int] | None = None

    @cached_property
    def mentions(self) -> frozenset[str]:
        """Attributes, keys and variables in the expression."""
        return mentions(self.value)


class Source:
    """The text of a student's file, and of the object examined in it.

    Args:
        text: of the file; it has been compiled already.
        object_name: of the class or function.

    Attributes:
        node: the definition.
        nodes: of its code; of a class, of the method that is called and of those that it calls.
        helpers: of the code of the file's other functions that it calls.
        assignments: in the order of the lines.
        returns: of something.
    """

    def __init__(self, text: str, object_name: str) -> None:
        self.lines = text.splitlines()
        tree = ast.parse(text)
        defined = [n for n in ast.walk(tree) if isinstance(n, _Definition) and n.name == object_name]
        outer = [n for n in defined if n in tree.body]
        found: list[ast.AST] = [tree, *defined, *outer]
        self.node = found[-1]  # of several at the top Python takes the last, too
        self.nodes = list(_code(self.node))
        named = {n.id for n in self.nodes if isinstance(n, ast.Name)}
        others = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in named]
        self.helpers = [n for other in others if other is not self.node for n in ast.walk(other)]
        self.assignments = list(_assignments(self.nodes))
        returns = [n for n in self.nodes if isinstance(n, ast.Return)]
        self.returns = [Assignment("return", n.lineno, n.value) for n in returns if n.value]

    def alias(self, name: str) -> str:
        """A parameter as the code calls it: a tuple's members have the names that they are unpacked to."""
        if name.isdigit():
            for a in self.assignments:
                if a.place == (int(name), a.place[1] if a.place else 0) and a.place[1] > 4:
                    return a.target
        return name

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
            elif not (C_STATE.match(a.target) or H_STATE.match(a.target)):
                flows[a.target] = reached
        out = {}
        for name in names:
            gates = [found[p] for p in name.split(".") if p in found and p not in GENERIC]
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
                if found and len({LETTERS[g] for g in found.groups()}) == 4 and not re.search(r"=", said):
                    return [LETTERS[g] for g in found.groups()], number
        return None


def is_rising(numbers: Sequence[float]) -> bool:
    """Whether each is larger than the one before."""
    return all(a < b for a, b in pairwise(numbers))


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Of a class its forward method, where it has one by a usual name and does the work itself."""
    if isinstance(node, ast.ClassDef):
        methods = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
        for name in ("forward", "__call__", "step", "cell"):
            if name in methods:
                if not _delegates(methods[name], node):
                    return ast.walk(methods[name])
                parts = [n for n in node.body if n is not methods.get("__init__")]
                return (n for part in parts for n in ast.walk(part))
    return ast.walk(node)


def _delegates(method: ast.FunctionDef, owner: ast.ClassDef) -> bool:
    """Whether a method calls others of its class, where the work may be."""
    methods = {n.name for n in owner.body if isinstance(n, ast.FunctionDef)}
    return any(isinstance(n, ast.Attribute) and n.attr in methods for n in ast.walk(method))


def called(node: ast.Call) -> str:
    """The last part of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return None


def mentions(value: ast.AST) -> frozenset[str]:
    """Attributes, keys and variables in an expression."""
    found = set()
    for n in ast.walk(value):
        if isinstance(n, ast.Name):
            found.add(n.id)
        elif isinstance(n, ast.Attribute):
            found.add(n.attr)
        elif isinstance(n, ast.Constant) and isinstance(n.value, str):
            found.add(n.value)
    return frozenset(found)


def _assignments(nodes: Iterable[ast.AST]) -> Iterator[Assignment]:
    found = [n for n in nodes if isinstance(n, ast.Assign | ast.AnnAssign | ast.AugAssign) and n.value]
    for node in sorted(found, key=lambda n: n.lineno):
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
                yield Assignment(name, line, v, (n, len(target.elts)) if whole else None)
    elif name := _name(target):
        yield Assignment(name, line, value)


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
