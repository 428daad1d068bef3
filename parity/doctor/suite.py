"""A teacher's pytest file, as it is written: which module is the student's, and what it takes from there."""

import ast
import builtins
import importlib.util
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from jax_lstm.errors import UserError
from parity.doctor.zoo import Specimen

_OWN = {"jax_lstm", "parity", "torch_ref", "conftest"}
_IMPORTERS = {"import_module", "importorskip", "__import__"}
_HELPS = re.compile(r"(?i)ref|help|util|solution|teacher|expect|oracle|common|conftest|data")
_ROLES = (
    ("training", re.compile(r"(?i)train(?!ed)|(^|_)(fit|update)(_|$)")),
    ("init", re.compile(r"(^|_)(init|initiali[sz]e|make|create|crear|new)(_|$)|param")),
    ("classifier", re.compile(r"(?i)classif|clasific|predict|logits|model|net(work)?$|stack|whole")),
    ("cell", re.compile(r"(?i)cell|celda")),
)
_SOME_CELL = re.compile(r"(?i)lstm|step|forward")
_ABOUT_LAYERS = {"one-layer-forget-bias", "same-cell-in-all-layers", "c-between-layers", "layers-see-x"}


@dataclass(frozen=True)
class Suite:
    """What is known of a file of tests before it is run.

    Attributes:
        path: of the file, resolved.
        modules: each module of the student's → the names taken from it → "cell", "classifier", "training",
            "init" or "other".
        imports: the other modules that are imported, their first names.
        of_classes: whether the student's work is a class, not a function.
        layers: whether more than one layer is asked for.
    """

    path: Path
    modules: Mapping[str, Mapping[str, str]]
    imports: frozenset[str]
    of_classes: bool
    layers: bool

    @property
    def roles(self) -> frozenset[str]:
        """Of all names."""
        return frozenset(role for names in self.modules.values() for role in names.values())

    def can_show(self, specimen: Specimen) -> bool:
        """Whether a fault of a specimen lies in what the tests import."""
        return any(self._reaches(where, kind) for where, kind in specimen.expected)

    def _reaches(self, where: str, kind: str) -> bool:
        if where == "classifier":
            return "classifier" in self.roles and (self.layers or kind not in _ABOUT_LAYERS)
        if where == "training":
            return "training" in self.roles
        return bool(self.roles & {"cell", "classifier"})


def read(tests: Path) -> Suite:
    """Read a file of tests, and the conftest.py beside it.

    Raises:
        UserError: there is no such file, it is not Python, or it imports nothing of a student's.
    """
    path = tests.resolve()
    if not path.is_file():
        raise UserError(f"--grade expects a file of tests, and there is none at {tests}")
    files = [path, *(p for p in (path.with_name("conftest.py"),) if p.is_file() and p != path)]
    trees = [_parsed(file) for file in files]
    imported: dict[str, set[str]] = defaultdict(set)
    for tree in trees:
        for module, names in _imported(tree):
            imported[module] |= names
    calls = {name: count for tree in trees for name, count in _calls(tree)}
    known = {m: {n: _role(n, calls) for n in sorted(names)} for m, names in imported.items()}
    modules = _of_the_student(known, path)
    if not modules:
        raise UserError(_nothing(tests, imported, path.parent))
    works = [n for names in modules.values() for n, role in names.items() if role in ("cell", "classifier")]
    return Suite(
        path=path,
        modules=modules,
        imports=frozenset(module.partition(".")[0] for module in imported if module not in modules),
        of_classes=any(_is_class(name) for name in works) or not works,
        layers=any(b"layers" in file.read_bytes() for file in files),
    )


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        what = error.msg if isinstance(error, SyntaxError) else error
        raise UserError(f"--grade expects a file of tests in Python; {file.name}{line}: {what}") from None


def _imported(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Modules and the names that are taken from them."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names, level=0):
                starred = any(a.name == "*" for a in names)
                yield module, (_unbound(tree) if starred else {a.name for a in names})
            case ast.Import(names=names):
                aliases |= {a.asname or a.name: a.name for a in names}
            case ast.Assign(
                targets=[ast.Name(id=alias)], value=ast.Call(func, [ast.Constant(str(module)), *_])
            ):
                if ast.unparse(func).rpartition(".")[2] in _IMPORTERS:
                    aliases[alias] = module
    for module in aliases.values():
        yield module, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (of := aliases.get(ast.unparse(node.value))):
            yield of, {node.attr}


def _unbound(tree: ast.Module) -> set[str]:
    """Names that are read and nowhere bound: what `import *` has to give."""
    bound, read = set(dir(builtins)), set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                bound.add(name)
            case ast.alias(name=name, asname=asname):
                bound.add((asname or name).partition(".")[0])
    return read - bound


def _calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """What is called by a name, and how many arguments it gets."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], len(node.args) + len(node.keywords)


def _is_class(name: str) -> bool:
    return name.lstrip("_")[:1].isupper()


def _role(name: str, calls: Mapping[str, int]) -> str:
    """What a name of the student's is for, by itself and, for a class, by the sizes that it gets."""
    for role, pattern in _ROLES:
        if pattern.search(name) and not (_is_class(name) and role in ("training", "init")):
            return role
    if _is_class(name) and calls.get(name) in (2, 3, 4):
        return "cell" if calls[name] == 2 else "classifier"
    return "cell" if _SOME_CELL.search(name) else "other"


def _of_the_student(known: Mapping[str, Mapping[str, str]], tests: Path) -> dict[str, Mapping[str, str]]:
    """The modules that are nowhere; if there are none, those beside the tests that do not help them."""
    own = {
        module: names
        for module, names in known.items()
        if set(names.values()) - {"other", "init"} and not _installed(module.partition(".")[0], tests.parent)
    }
    absent = {m: names for m, names in own.items() if not _lies_beside(m, tests.parent)}
    return absent or {m: n for m, n in own.items() if not _HELPS.search(m)} or own


def _installed(name: str, folder: Path) -> bool:
    """Whether Python finds a module elsewhere than with the tests."""
    if name in sys.stdlib_module_names or name in _OWN:
        return True
    beside = {*_with_the_tests(folder)}
    with patch.object(sys, "path", [p for p in sys.path if Path(p or ".").resolve() not in beside]):
        try:
            return importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            return name in sys.modules


def _with_the_tests(folder: Path) -> Iterator[Path]:
    """Their folder, the one above, and the present one: where a student's file may lie."""
    yield from (folder, folder.parent, Path.cwd())


def _lies_beside(module: str, folder: Path) -> bool:
    name = module.partition(".")[0]
    return any((at / f"{name}.py").is_file() or (at / name).is_dir() for at in _with_the_tests(folder))


def _nothing(tests: Path, imported: Iterable[str], folder: Path) -> str:
    tops = dict.fromkeys(module.partition(".")[0] for module in imported)
    own = [name for name in tops if not _installed(name, folder)]
    came = (
        f"what it imports beside installed packages is {', '.join(own)}"
        if own
        else (f"all that it imports is installed: {', '.join(tops)}" if tops else "it imports nothing")
    )
    return (
        f"{tests.name} does not import a student's cell, classifier or training step: {came}; expected is a "
        "line such as `from my_cell import ManualLSTMCell`"
    )
