"""Readings that are stated rather than measured: by the parameters' names and shapes, or by a map file.

Where a cell's derivatives do not fall apart into pre-activations (a softmax over the batch, a whole
classifier), names and shapes say which reading to try; outputs then decide whether it holds. A map file says
which parameter the student means by W_f, and the cell is held to it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np

from jax_lstm.errors import UserError
from parity.doctor.claims import Claims
from parity.doctor.program import GATES, Array
from parity.doctor.reading import Reading, Term

Shapes = Mapping[str, tuple[int, ...]]
BLOCKS = {"W": "h", "U": "x", "b": "1"}


def readings(shapes: Shapes, I: int, H: int, claims: Claims, h_in: int = 0) -> Iterator[Reading]:  # noqa: E741
    """The readings that names and shapes allow: slots are the gates i, f, o, c in this order.

    Args:
        claims: which gate each name, or quarter of a fused array, is of.
        h_in: the place of h among the states taken: 0 or 1.
    """
    h = ("first", "second")[h_in]
    seen: list[list[Term]] = []  # not every layout has square blocks, or [x, h]
    for square_axis, x_first in product((0, 1), (True, False)):
        terms: list[Term] = []
        at = 0
        for name, shape in shapes.items():
            ids = np.arange(at, at + int(np.prod(shape))).reshape(shape)
            at += ids.size
            for gate, part in _by_gate(name, ids, H, claims):
                axis = 0 if name.endswith(".weight") else square_axis
                terms += _terms(GATES.index(gate), part, I, H, h, axis, x_first)
        if len({t.slot for t in terms}) == 4 and terms not in seen:
            seen.append(terms)
            yield Reading(dict(shapes), I, H, 4, tuple(terms), measured=False)


def _by_gate(name: str, ids: Array, H: int, claims: Claims) -> Iterator[tuple[str, Array]]:
    """The parts of an array that belong to a gate each."""
    if name in claims.by_name:
        yield claims.by_name[name], ids
        return
    for axis, size in enumerate(ids.shape):
        if claims.cut and (size == 4 * H or (axis == 0 and size == 4 and ids.ndim > 1)):
            for gate, part in zip(claims.cut[0], np.split(ids, 4, axis), strict=True):
                yield gate, part.squeeze(axis) if size == 4 != 4 * H else part
            return


def _terms(
    slot: int,
    ids: Array,
    I: int,  # noqa: E741
    H: int,
    h: str,
    square_axis: int,
    x_first: bool,
) -> list[Term]:
    """The products of one gate's array, by its shape."""
    if ids.size == H:
        return [Term(slot, u, ("1", 0), int(e), 1.0) for u, e in enumerate(ids.ravel())]
    if ids.ndim != 2:
        return []
    if ids.shape == (H, H):
        rows = ids if square_axis == 0 else ids.T
    elif ids.shape[0] == H and ids.shape[1] in (I, I + H):
        rows = ids
    elif ids.shape[1] == H and ids.shape[0] in (I, I + H):
        rows = ids.T
    else:
        return []
    xs: list[tuple[str, int]] = [("x", k) for k in range(I)]
    hs: list[tuple[str, int]] = [(h, k) for k in range(H)]
    operands = {I: xs, H: hs, I + H: [*xs, *hs] if x_first else [*hs, *xs]}
    columns = hs if rows.shape[1] == H and ids.shape == (H, H) else operands[rows.shape[1]]
    return [Term(slot, u, columns[k], int(rows[u, k]), 1.0) for u in range(H) for k in range(len(columns))]


Map = dict[str, list[str]]

_ENTRY = re.compile(r"^(?P<name>[^\[\]]+?)(?:\[(?P<slices>[^\]]*)\])?(?P<t>\.T)?$")
_BOUND = re.compile(r"^(?:(\d+)\s*\*?\s*)?([HI])?$|^(?:I\s*\+\s*H|H\s*\+\s*I)$")


def read_map(path: Path) -> Map:
    """A map file: JSON, canonical name → the student's parameter, or several that are added.

        {"W_f": "hh.weight[H:2H]", "U_f": "ih.weight[H:2H]", "b_f": ["ih.bias[H:2H]", "hh.bias[H:2H]"], …}

    An entry is a name, with slices in H and I where it is a part of an array, and .T where it stands the
    other way round; W_g is [H, H] and U_g [H, I], rows are outputs.

    Raises:
        UserError: it is no such file.
    """
    try:
        raw = json.loads(path.read_bytes()[:1_000_000])
    except (OSError, ValueError) as error:
        raise UserError(f"--map {path} cannot be read as JSON: {error}") from None
    wanted = {f"{letter}_{g}" for g in GATES for letter in BLOCKS}
    if not isinstance(raw, dict) or not set(raw) <= wanted or not raw:
        raise UserError(f"--map {path} must be an object with keys of {', '.join(sorted(wanted))}")
    entries = {k: [v] if isinstance(v, str) else v for k, v in raw.items()}
    for key, parts in entries.items():
        listed = isinstance(parts, list) and bool(parts)
        if not listed or not all(isinstance(p, str) and _ENTRY.match(p) for p in parts):
            raise UserError(
                f'--map {path}: {key} must be like "name[H:2H, :I].T", or a list of such; '
                f"it is {json.dumps(raw[key])}"
            )
    return entries


def mapped(entries: Map, shapes: Shapes, I: int, H: int) -> dict[str, list[Array]]:  # noqa: E741
    """Canonical name → the single parameters that it is the sum of, each [H, H], [H, I] or [H].

    Raises:
        UserError: a name that the cell does not have, or a part of another shape.
    """
    ids, at = {}, 0
    for name, shape in shapes.items():
        ids[name] = np.arange(at, at + int(np.prod(shape))).reshape(shape)
        at += ids[name].size
    want = {"W": (H, H), "U": (H, I), "b": (H,)}
    return {
        key: [_part(key, entry, ids, want[key[0]], I, H) for entry in parts] for key, parts in entries.items()
    }


def _part(key: str, entry: str, ids: Mapping[str, Array], want: tuple[int, ...], I: int, H: int) -> Array:  # noqa: E741
    found = _ENTRY.match(entry)
    assert found
    name = found["name"].strip()
    if name not in ids:
        raise UserError(f"--map: {key} names {name!r}, which the cell does not have; it has {', '.join(ids)}")
    part = ids[name]
    if found["slices"] is not None:
        slices = tuple(_slice(s, I, H) for s in found["slices"].split(","))
        try:
            part = part[slices]
        except IndexError:
            raise UserError(
                f"--map: {key} must be a part of {name}, which has shape {list(part.shape)}; "
                f"{entry!r} lies outside"
            ) from None
    part = part.T if found["t"] else part
    if part.shape != want and part.size == H == int(np.prod(want)):
        part = part.reshape(want)
    if part.shape != want:
        raise UserError(
            f"--map: {key} must have shape {list(want)} (H = {H}, I = {I}); {entry!r} has {list(part.shape)}"
        )
    return part


def _slice(text: str, I: int, H: int) -> slice | int:  # noqa: E741
    parts = [_bound(p.strip(), I, H) for p in text.split(":")]
    if len(parts) == 1 and parts[0] is not None:
        return parts[0]
    if len(parts) != 2:
        raise UserError(f"--map: {text!r} is not an index such as 3 or a slice such as H:2H, without a step")
    return slice(*parts)


def _bound(text: str, I: int, H: int) -> int | None:  # noqa: E741
    if not text:
        return None
    found = _BOUND.match(text)
    if not found:
        raise UserError(f"--map: {text!r} is not a bound such as 2H, I or 3")
    if "+" in text:
        return I + H
    return int(found[1] or 1) * {"H": H, "I": I, None: 1}[found[2]]
