"""What the correct cells have in common: the record of one, and how their texts are put together."""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")
GATES = ("i", "f", "o", "c")
Axes = Literal["batch", "columns", "vector"]


@dataclass(frozen=True)
class Right:
    """One correct cell, and how to use it without examining it.

    Sizes: B batch, I inputs, H hidden units.

    Attributes:
        name: unique among all cells.
        framework: "torch", "jax" or "numpy".
        source: the student's file.
        style: what is particular about it, in words.
        object: the name of the cell in the file.
        make: a line of Python that makes `cell` (a class) or the parameters `p` (a function), from I, H, a
            JAX key `key` and `draw(*shape)`.
        use: a line of Python that turns x, h, c into the new h, c; x [B, I], h and c [B, H] if `axes` allow.
        weights: an expression for gate → (W [H, H], U [H, I], b [H]) of the equations, from `p`: by name a
            module's parameters or an object's attributes, or a function's parameters.
        axes: "batch" takes rows; "columns" takes x [I, B], h and c [H, B]; "vector" takes x [I], h and c [H].
        init: whether a function's file says how its parameters are made.
        float32: it computes in float32 whatever it is given.
    """

    name: str
    framework: str
    source: str
    style: str
    object: str
    make: str
    use: str
    weights: str
    axes: Axes = "batch"
    init: bool = True
    float32: bool = False


@dataclass(frozen=True)
class Spelling:
    """One spelling of a function of z: its text, and what it needs in `__init__` or before the class."""

    text: str
    init: str = ""
    glob: str = ""

    def of(self, z: str) -> str:
        """The text for one argument."""
        return self.text.replace("{z}", z).replace("{(z)}", wrapped(z))


def choose(options: Sequence[T], *seed: object) -> T:
    """One of the options, always the same for the same seed."""
    return options[zlib.crc32(" ".join(map(str, seed)).encode()) % len(options)]


def wrapped(z: str) -> str:
    """The expression in parentheses, unless it is a name or one call already."""
    return z if re.fullmatch(r"[\w.]+(\[[^][]*\])*(\([\w.]*\))?", z) else f"({z})"


def indented(lines: Iterable[str], depth: int = 1) -> str:
    """The lines, without the empty ones, by `depth` times four spaces."""
    return "\n".join("    " * depth + line for line in lines if line)


def joined(*parts: str) -> str:
    """The parts of a file, two empty lines between them."""
    return "\n\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def mapping(gates: Mapping[str, str]) -> str:
    """The text of a dict from gate to an expression."""
    return "{" + ", ".join(f"{gate!r}: {text}" for gate, text in gates.items()) + "}"


def update(gate: Mapping[str, str], c: str, c_new: str, mul: str, seed: object) -> list[str]:
    """The lines of c_t = f ⊙ c_{t-1} + i ⊙ c̃ in one of their spellings; `mul` is "torch.mul" or its like."""
    i, f, g = gate["i"], gate["f"], gate["c"]
    spellings = [
        [f"{c_new} = {f} * {c} + {i} * {g}"],
        [f"{c_new} = {f} * {c} + {i} * {g}"],
        [f"{c_new} = ({i} * {g}) + ({f} * {c})"],
        [f"{c_new} = {c} * {f} + {g} * {i}"],
        [f"{c_new} = {mul}({f}, {c}) + {mul}({i}, {g})"],
        [f"kept = {f} * {c}", f"added = {i} * {g}", f"{c_new} = kept + added"],
    ]
    if mul == "torch.mul":
        spellings += [
            [f"{c_new} = torch.addcmul({f} * {c}, {i}, {g})"],
            [f"{c_new} = ({f} * {c}).add({i} * {g})"],
        ]
    return choose(spellings, "update", seed)
