"""What the text of the student's file says: what it imports, where things are, which names it uses."""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType
from typing import Self

from parity.doctor.sandbox.errors import Refused

LARGEST = 2**20
"""Bytes of a file that is read."""

_LIBRARIES = {
    "torch": "torch",
    "torchvision": "torch",
    "jax": "jax",
    "flax": "jax",
    "equinox": "jax",
    "optax": "jax",
    "haiku": "jax",
    "numpy": "numpy",
}
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Tree = str | tuple["Tree | None", ...]
"""Names as a return statement nests them."""


@dataclass(frozen=True)
class Source:
    """A file that Python can read.

    Attributes:
        path: of the file.
        text: of the file.
        tree: parsed.
        code: compiled.
    """

    path: Path
    text: str
    tree: ast.Module
    code: CodeType

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and compile a file.

        Raises:
            Refused: it is no Python, or too large.
        """
        if path.suffix == ".ipynb":
            raise Refused(
                "this is a notebook: save it as a Python script (.py) and keep only the definitions"
            )
        if path.is_file() and path.stat().st_size > LARGEST:
            raise Refused(f"the file has {path.stat().st_size:,} bytes; {LARGEST:,} are read at most")
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise Refused(f"{path.name} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise Refused(f"the file is not UTF-8 text ({error.reason}): save it as UTF-8") from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree, code = _compiled(text, str(path))
        return cls(path, text, tree, code)

    @cached_property
    def definitions(self) -> dict[str, ast.AST]:
        """Qualified name → class or function, "Cell.forward"."""
        return dict(_definitions(self.tree, ""))

    @property
    def frameworks(self) -> list[str]:
        """What the file and its neighbours import, of "torch", "jax" and "numpy", in that order."""
        names = {_LIBRARIES.get(name) for name in _imports(self.tree, self.path.parent, {self.path})}
        return [name for name in ("torch", "jax", "numpy") if name in names]

    def line(self, name: str) -> int | None:
        """Where a class or function is defined."""
        node = self.definitions.get(name)
        return getattr(node, "lineno", None)

    def names_in(self, name: str) -> set[str]:
        """The names that a definition mentions, base classes aside."""
        node = self.definitions.get(name)
        if node is None:
            return set()
        parts = node.body if isinstance(node, ast.ClassDef) else [node]
        return {n.id for part in parts for n in ast.walk(part) if isinstance(n, ast.Name)}

    def reach(self, name: str) -> set[str]:
        """The names mentioned by a definition and by those of the file that it uses."""
        seen, todo, found = set(), [name], set()
        while todo:
            if (current := todo.pop()) not in seen:
                seen.add(current)
                found |= (names := self.names_in(current))
                todo += [n for n in names if n in self.definitions]
        return found

    def aliases(self) -> dict[str, str]:
        """Name in the file → framework that it comes from, "jnp" → "jax"."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    top = (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
                    library = _LIBRARIES.get(top.split(".")[0])
                    if library:
                        found[alias.asname or alias.name.split(".")[0]] = library
        return found

    def returns(self, name: str) -> Tree | None:
        """The names in the last return statement of a function, nested as there."""
        node = self.definitions.get(name)
        if node is None:
            return None
        if isinstance(node, ast.Lambda):
            return _names(node.body, {})
        found = [n for n in _own(node) if isinstance(n, ast.Return)]
        last = max(found, key=lambda n: n.lineno, default=None)
        return _names(last.value, _assignments(node)) if last and last.value else None

    def unpacked(self, name: str, argument: str) -> tuple[str, ...]:
        """The names into which a function unpacks an argument: ("h", "c") for `h, c = state`."""
        for node in _own(self.definitions.get(name)):
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Name)
                and node.value.id == argument
                and isinstance(targets := node.targets[0], ast.Tuple | ast.List)
            ):
                return tuple(t.id if isinstance(t, ast.Name) else "" for t in targets.elts)
        return ()

    def keys(self, name: str, argument: str) -> list[str]:
        """The keys and attributes by which a function reads an argument: `state["h"]`, `state.h`."""
        found: dict[str, None] = {}
        for node in _own(self.definitions.get(name)):
            value = getattr(node, "value", None)
            if not (isinstance(value, ast.Name) and value.id == argument):
                continue
            if isinstance(node, ast.Attribute):
                found[node.attr] = None
            elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                found[str(node.slice.value)] = None
        return list(found)

    def assigned_items(self, name: str, argument: str) -> tuple[str, ...]:
        """The names given to `state[0]` and `state[1]`."""
        names = {}
        for target, value in _assignments(self.definitions.get(name)).items():
            if (
                isinstance(value, ast.Subscript)
                and isinstance(value.value, ast.Name)
                and value.value.id == argument
                and isinstance(value.slice, ast.Constant)
            ):
                names[value.slice.value] = target
        return (names[0], names[1]) if {0, 1} <= set(names) else ()

    def loops_over(self, name: str, argument: str) -> bool:
        """Whether a function goes over an argument in time: by a for loop, a scan, or its sizes."""
        for node in _own(self.definitions.get(name)):
            if isinstance(node, ast.For | ast.comprehension) and _goes_over(node.iter, argument):
                return True
            if isinstance(node, ast.Call):
                called = _called(node)
                if called == "scan" and _mentions(node, argument):
                    return True
                if called == "unbind" and _goes_over(node, argument):
                    return True
        return self._loops_over_a_size(name, argument)

    def _loops_over_a_size(self, name: str, argument: str) -> bool:
        node = self.definitions.get(name)
        sizes = {
            target.id
            for assign in _own(node)
            if isinstance(assign, ast.Assign) and _mentions(assign.value, argument) and _is_size(assign.value)
            for names in assign.targets
            for target in ast.walk(names)
            if isinstance(target, ast.Name)
        }
        loops = [n for n in _own(node) if isinstance(n, ast.For) and "range" in ast.unparse(n.iter)]
        return any(_indexes(loop, argument) and any(_mentions(loop.iter, s) for s in sizes) for loop in loops)


def _compiled(text: str, path: str) -> tuple[ast.Module, CodeType]:
    try:
        tree = ast.parse(text, path)
        return tree, compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        line = (error.text or "").strip()
        reason = f"this is not Python: {error.msg}" + (f", at `{line[:80]}`" if line else "")
        if line.startswith(("!", "%")):
            reason += " (lines with ! or % are commands of a notebook: delete them)"
        raise Refused(reason, error.lineno) from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise Refused(f"this is not Python: {error or type(error).__name__}") from None


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield f"{prefix}{child.name}", child
            inner = "." if isinstance(child, ast.ClassDef) else ".<locals>."
            yield from _definitions(child, f"{prefix}{child.name}{inner}")
        elif isinstance(child, ast.Assign) and isinstance(child.value, ast.Lambda):
            for target in child.targets:
                if isinstance(target, ast.Name):
                    yield f"{prefix}{target.id}", child.value
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from _definitions(child, prefix)


def _imports(tree: ast.AST, folder: Path, seen: set[Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            yield name.split(".")[0]
            neighbour = folder.joinpath(*name.split(".")).with_suffix(".py") if name else folder
            if neighbour not in seen and neighbour.is_file():
                seen.add(neighbour)
                yield from _imports(_neighbour(neighbour), folder, seen)


def _neighbour(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8", errors="replace"))
    except (SyntaxError, ValueError, OSError, RecursionError):
        return ast.Module([], [])


def _own(node: ast.AST | None) -> Iterator[ast.AST]:
    """The nodes of a function, those of functions within it aside."""
    todo = list(ast.iter_child_nodes(node)) if node else []
    while todo:
        current = todo.pop(0)
        yield current
        if not isinstance(current, _Function | ast.ClassDef):
            todo += list(ast.iter_child_nodes(current))


def _assignments(node: ast.AST | None) -> dict[str, ast.expr]:
    return {
        target.id: assign.value
        for assign in _own(node)
        if isinstance(assign, ast.Assign)
        for target in assign.targets
        if isinstance(target, ast.Name)
    }


def _names(node: ast.expr, assigned: dict[str, ast.expr], depth: int = 0) -> Tree | None:
    if depth > 4:
        return None
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_names(item, assigned, depth + 1) for item in node.elts)
    if isinstance(node, ast.Dict):
        return tuple(_names(item, assigned, depth + 1) for item in node.values)
    if isinstance(node, ast.Call) and len(node.args) + len(node.keywords) >= 2 and _is_record(node):
        parts = [*node.args, *(k.value for k in node.keywords)]
        return tuple(_names(item, assigned, depth + 1) for item in parts)
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        value = assigned.get(node.id)
        if isinstance(value, ast.Tuple | ast.Dict) or (isinstance(value, ast.Call) and _is_record(value)):
            return _names(value, {}, depth + 1)
        return node.id
    return None


def _is_record(call: ast.Call) -> bool:
    """LSTMState(h, c), not torch.stack(h, c)."""
    return isinstance(call.func, ast.Name) and call.func.id[:1].isupper()


_VIEWS = {
    *(
        "unbind",
        "transpose",
        "permute",
        "swapaxes",
        "moveaxis",
        "movedim",
        "reshape",
        "view",
        "flip",
        "split",
    ),
    *("enumerate", "zip", "range", "len", "reversed", "list", "iter", "tqdm", "trange", "size", "arange"),
}


def _called(node: ast.Call) -> str:
    """The last part of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _goes_over(node: ast.AST, name: str) -> bool:
    """Whether to iterate over an expression is to iterate over a variable, not over what is made of it."""
    if isinstance(node, ast.Name):
        return node.id == name
    if isinstance(node, ast.Attribute | ast.Subscript):
        return _goes_over(node.value, name)
    if isinstance(node, ast.BinOp):
        return not isinstance(node.op, ast.MatMult) and any(
            _goes_over(n, name) for n in (node.left, node.right)
        )
    if isinstance(node, ast.Call):
        parts = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
        return _called(node) in _VIEWS and any(_goes_over(part, name) for part in parts)
    return False


def _mentions(node: ast.AST, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))


def _is_size(node: ast.AST) -> bool:
    return any(
        (isinstance(n, ast.Attribute) and n.attr in ("shape", "size"))
        or (isinstance(n, ast.Name) and n.id == "len")
        for n in ast.walk(node)
    )


def _indexes(node: ast.AST, name: str) -> bool:
    return any(
        isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name) and n.value.id == name
        for n in ast.walk(node)
    )
