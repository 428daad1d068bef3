"""Which of a classifier's parameters are the layers' and which the output layer's."""

from dataclasses import dataclass

import numpy as np

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Parts:
    """A classifier's parameters by what they are for.

    Attributes:
        prefixes: of the layers' cells, and for each whether it sees the input (or h of the layer below).
        W_out, b_out: names; None where it has none.
        start: names of parameters that can only be start states.
    """

    prefixes: tuple[tuple[str, bool], ...]
    W_out: str | None
    b_out: str | None
    start: tuple[str, ...]


def split(shapes: Shapes, cell: dict[bool, Shapes], H: int, C: int) -> Parts:
    """Which parameters are the layers' and which the output layer's, by names and shapes.

    Args:
        shapes: of the classifier's parameters, with C classes.
        cell: whether it sees the input → shapes of its cell's parameters, with H hidden units.
    """
    prefixes: list[tuple[str, bool]] = []
    for name in shapes:
        for sees, own in cell.items():
            for first in own:
                if name.endswith(first):
                    prefix = name[: len(name) - len(first)]
                    fits = all(shapes.get(prefix + n) == s for n, s in own.items())
                    if fits and prefix not in [p for p, _ in prefixes]:
                        prefixes.append((prefix, sees))
    taken = {p + n for p, sees in prefixes for n in cell[sees]}
    left = {n: s for n, s in shapes.items() if n not in taken}
    if not prefixes:
        left = dict(shapes)
    W_out = next((n for n, s in left.items() if s in ((C, H), (H, C))), None)
    b_out = next((n for n, s in left.items() if s in ((C,), (1, C), (C, 1))), None)
    start = tuple(n for n, s in left.items() if prefixes and int(np.prod(s)) == H)
    return Parts(tuple(prefixes), W_out, b_out, start)
