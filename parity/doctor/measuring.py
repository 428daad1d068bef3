"""Which parameter feeds which gate, learned from behaviour alone.

A gate's pre-activation of unit j is a sum of products, parameter times operand, where an operand is an input
x_k, a state, or 1 for a bias. So the derivative of what the cell returns by one single parameter θ is that
operand times ∂(outputs)/∂z_j, and two facts can be read off derivatives at random points:

  * where an operand is set to 0, the derivative by the parameters that multiply it is exactly 0;
  * divided by their operands, the derivatives by all parameters of one pre-activation are the same vector.

Names, shapes and layouts are not looked at, but for one thing: the pre-activations of different units belong
to one gate when their parameters lie in the same order in every unit.

Sizes: B probes, P single parameters, S pre-activations per unit (4 in an LSTM), H hidden units, I inputs.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from parity.doctor.program import Array
from parity.doctor.reading import Cell, Operand, Reading, Term, unflatten


class Unreadable(Exception):
    """The derivatives do not fall into pre-activations."""


@dataclass(frozen=True)
class Precision:
    """How a cell that computes in some precision is measured.

    Attributes:
        name: "float64", "float32" or "float16": the coarsest that its results show.
        step: of the central differences.
        alike: two derivatives that differ by less than this share are the same.
        tolerance: an explanation fits within this, absolute and relative.
    """

    name: str
    step: float
    alike: float
    tolerance: float


PRECISIONS = (
    Precision("float64", 1e-5, 1e-5, 1e-9),
    Precision("float32", 1e-2, 2e-2, 2e-5),
    Precision("float16", 1e-1, 2e-1, 3e-2),
)


@dataclass
class _Derivatives:
    """By every single parameter, at B probes: of what is returned, [P, B, 2H]; and the operands [B] there."""

    by: Array
    operands: dict[Operand, Array]
    bases: int
    zeroed: dict[Operand, slice]
    """Operand → the probes like the first few ones, the bases, but where it is 0."""
    alike: float
    scale: float = field(init=False)

    def __post_init__(self) -> None:
        self.scale = float(np.abs(self.by).max(initial=0.0))

    def alive(self, e: int) -> bool:
        """Whether the parameter changes anything."""
        return bool(np.abs(self.by[e]).max() > 1e-7 * max(self.scale, 1.0))

    def probes_on(self, e: int) -> int:
        """At how many of the probes where no operand is 0 the parameter changes anything."""
        size = np.abs(self.by[e][: len(self.by[e]) - self.bases * len(self.zeroed)]).max(1)
        return int((size > 1e-6 * max(size.max(), 1e-300)).sum())

    def vanishing(self, e: int) -> list[Operand]:
        """The operands without which the parameter changes nothing."""
        size = np.abs(self.by[e]).max(1)
        counts = size[: self.bases] > 1e-6 * size.max()  # a ReLU may be off at a probe
        return [
            o
            for o, rows in self.zeroed.items()
            if counts.any() and (size[rows][counts] < 1e-9 * size.max()).all()
        ]

    def sensitivity(self, e: int, operand: Operand) -> Array:
        """∂(outputs)/∂z [·] at the probes where no operand is 0, if the parameter multiplies this operand."""
        n = len(self.by[e]) - self.bases * len(self.zeroed)
        return (self.by[e][:n] / self.operands[operand][:n, None]).ravel()


def measure(
    cell: Cell,
    shapes: Mapping[str, tuple[int, ...]],
    I: int,  # noqa: E741
    H: int,
    rng: np.random.Generator,
    precision: Precision,
    bases: int = 6,
    attempts: int = 12,
) -> Reading:
    """Learn which single parameter feeds which pre-activation, and by which operand.

    Args:
        cell: elementwise in its units and independent of the other rows of a batch.
        shapes: of its parameters at sizes I and H.
        bases: of the random probes, those that are repeated with one operand at 0.
        attempts: with new numbers: a ReLU may be off, or a clip at its end, wherever one looked.

    Raises:
        Unreadable: its derivatives do not fall into pre-activations.
    """
    for attempt in range(attempts):
        try:
            with np.errstate(all="ignore"):  # an operand may be 0, which is then none
                return _read(_derivatives(cell, shapes, I, H, rng, precision, bases), shapes, I, H)
        except Unreadable:
            if attempt == attempts - 1:
                raise
    raise AssertionError


def _read(d: _Derivatives, shapes: Mapping[str, tuple[int, ...]], I: int, H: int) -> Reading:  # noqa: E741
    alive = [e for e in range(len(d.by)) if d.alive(e)]
    if not alive:
        raise Unreadable("no parameter changes what the cell returns")
    if min(d.probes_on(e) for e in alive) < 3:
        raise Unreadable("a unit is hardly ever on")
    groups = _groups(d, alive)
    terms = _terms(d, groups, alive)
    slots = _slots(d, groups, terms, H)
    placed = tuple(
        Term(*slots[g], operand, e, coefficient) for e, g, operand, coefficient in terms if g in slots
    )
    count = max(slot for slot, _ in slots.values()) + 1
    dead = tuple(e for e in range(len(d.by)) if e not in set(alive))
    return Reading(dict(shapes), I, H, count, placed, dead)


def _derivatives(
    cell: Cell,
    shapes: Mapping[str, tuple[int, ...]],
    I: int,  # noqa: E741
    H: int,
    rng: np.random.Generator,
    precision: Precision,
    bases: int,
) -> _Derivatives:
    P = sum(int(np.prod(s)) for s in shapes.values())
    scalars: list[Operand] = [("x", k) for k in range(I)]
    scalars += [(s, k) for s in ("first", "second") for k in range(H)]
    probes = bases + 4
    values = rng.uniform(0.4, 1.5, (probes, I + 2 * H)) * rng.choice([-1.0, 1.0], (probes, I + 2 * H))
    zeroed = np.repeat(values[None, :bases], len(scalars), 0)
    zeroed[np.arange(len(scalars)), :, np.arange(len(scalars))] = 0.0
    values = np.concatenate([values, zeroed.reshape(-1, len(scalars))])
    x, first, second = values[:, :I], values[:, I : I + H], values[:, I + H :]
    base = rng.normal(0.0, 0.4, P)
    steps = precision.step * np.concatenate([np.zeros((1, P)), np.eye(P), -np.eye(P)])
    a, b = cell(unflatten(shapes, base + steps), x[None], first[None], second[None])
    out = np.concatenate([a, b], -1)
    by = (out[1 : P + 1] - out[P + 1 :]) / (2 * precision.step)
    operands = {o: values[:, n] for n, o in enumerate(scalars)}
    operands[("1", 0)] = np.ones(len(values))
    operands |= {("sum", k): first[:, k] + second[:, k] for k in range(H)}
    operands |= {("new first", k): out[0][:, k] for k in range(H)}
    operands |= {("new second", k): out[0][:, H + k] for k in range(H)}
    if not np.isfinite(by).all():
        raise Unreadable("it returns numbers that are not finite")
    rows = {o: slice(probes + n * bases, probes + (n + 1) * bases) for n, o in enumerate(scalars)}
    return _Derivatives(by, operands, bases, rows, precision.alike)


def _parallel(a: Array, b: Array, alike: float) -> float | None:
    """The factor t with a = t b, or None."""
    t = float(a @ b / max(b @ b, 1e-300))
    return t if t and np.abs(a - t * b).max() <= alike * np.abs(a).max() else None


def _groups(d: _Derivatives, alive: Sequence[int]) -> list[Array]:
    """The sensitivities of the pre-activations, one vector each.

    Parameters of an input are sure of their operand, and tell most of them. What is left, such as a gate that
    does not see x, is taken in the largest groups that agree.
    """
    groups: list[Array] = []
    left: list[int] = []
    for e in alive:
        xs = [o for o in d.vanishing(e) if o[0] == "x"]
        if len(xs) == 1:
            v = d.sensitivity(e, xs[0])
            if not any(_parallel(v, g, d.alike) is not None for g in groups):
                groups.append(v)
        else:
            left.append(e)
    left = [e for e in left if _explain(d, e, groups) is None]
    while left:
        vector, members = _largest(d, left)
        groups.append(vector)
        left = [e for e in left if e not in members and _explain(d, e, groups) is None]
    return _without_sums(groups, d.alike)


def _largest(d: _Derivatives, left: Sequence[int]) -> tuple[Array, set[int]]:
    """The vector that most of these parameters have in common, each by one of its operands."""
    owners, vectors, plain = [], [], []
    for e in left:
        for operand in _candidates(d, e):
            v = d.sensitivity(e, operand)
            size = np.linalg.norm(v)
            if size > 0 and np.isfinite(size):
                owners.append(e)
                vectors.append(v)
                plain.append(operand == ("1", 0))
    if not vectors:
        raise Unreadable("a parameter enters otherwise than times one operand")
    unit, owner = np.stack([v / np.linalg.norm(v) for v in vectors]), np.array(owners)
    alike = 1.0 - np.abs(unit @ unit.T) <= max(d.alike**2, 1e-12)
    # of a parameter that stands alone, a bias is the likeliest
    counts = [len(set(owner[row])) + 0.5 * one for row, one in zip(alike, plain, strict=True)]
    best = int(np.argmax(counts))
    return vectors[best], set(owner[alike[best]].tolist())


def _candidates(d: _Derivatives, e: int) -> list[Operand]:
    """The operands that a parameter may multiply, the likeliest first."""
    vanishing = d.vanishing(e)
    states = [o for o in vanishing if o[0] in ("first", "second")]
    xs = [o for o in vanishing if o[0] == "x"]
    other = [o for o in d.operands if o[0] in ("sum", "new first", "new second")]
    return [*xs, *states, ("1", 0), *other]


def _explain(
    d: _Derivatives, e: int, groups: Sequence[Array]
) -> tuple[Operand, list[tuple[int, float]]] | None:
    """The operand of a parameter, and the groups that it feeds with their coefficients; None: none fits."""
    for operand in _candidates(d, e):
        v = d.sensitivity(e, operand)
        for n, g in enumerate(groups):
            t = _parallel(v, g, d.alike)
            if t is not None:
                return operand, [(n, t)]
    return None


def _explain_sum(
    d: _Derivatives, e: int, groups: Sequence[Array]
) -> tuple[Operand, list[tuple[int, float]]] | None:
    for operand in _candidates(d, e):
        found = _sum_of(d.sensitivity(e, operand), groups, d.alike)
        if found:
            return operand, found
    return None


def _sum_of(v: Array, groups: Sequence[Array], alike: float) -> list[tuple[int, float]] | None:
    """v as a sum of two, three or four groups with simple coefficients."""
    near = [n for n, g in enumerate(groups) if np.abs(v[g != 0]).max(initial=0.0) > 0]
    support = np.abs(v) > 1e-9 * np.abs(v).max()
    near = [n for n in near if not (np.abs(groups[n][~support]) > 1e-9 * np.abs(groups[n]).max()).any()]
    if not 2 <= len(near) <= 8:
        return None
    basis = np.stack([groups[n] for n in near], 1)
    t, *_ = np.linalg.lstsq(basis, v, rcond=None)
    t = np.where(np.abs(t - np.round(t)) < 10 * alike, np.round(t), t)
    if np.abs(basis @ t - v).max() > alike * np.abs(v).max() or np.linalg.matrix_rank(basis) < len(near):
        return None
    return [(n, float(x)) for n, x in zip(near, t, strict=True) if x]


def _without_sums(groups: list[Array], alike: float) -> list[Array]:
    """Without the vectors that are sums of others: of a parameter that feeds several pre-activations."""
    for n, v in enumerate(groups):
        rest = groups[:n] + groups[n + 1 :]
        found = _sum_of(v, rest, alike)
        if found and len(found) > 1 and all(t == 1.0 for _, t in found):
            return _without_sums(rest, alike)
    return groups


def _terms(
    d: _Derivatives, groups: Sequence[Array], alive: Sequence[int]
) -> list[tuple[int, int, Operand, float]]:
    """(element, group, operand, coefficient) of every product."""
    terms = []
    for e in alive:
        found = _explain(d, e, groups) or _explain_sum(d, e, groups)
        if not found:
            raise Unreadable("a parameter enters otherwise than times one operand")
        operand, parts = found
        for g, t in parts:
            near = round(t)
            terms.append((e, g, operand, float(near) if near and abs(t - near) < 10 * d.alike else t))
    return terms


def _slots(
    d: _Derivatives, groups: Sequence[Array], terms: Sequence[tuple[int, int, Operand, float]], H: int
) -> dict[int, tuple[int, int]]:
    """Group → (slot, unit): its unit is the one it moves most, its slot its rank there by parameters."""
    firsts: dict[int, list[int]] = defaultdict(list)
    feeds = defaultdict(set)
    for e, g, _, _ in terms:
        feeds[e].add(g)
    for e, g, operand, _ in terms:
        if len(feeds[e]) == 1 and operand[0] != "1":
            firsts[g].append(e)
    for e, g, _, _ in terms:
        if g not in firsts:
            firsts[g] = [e]
    order = sorted(firsts, key=lambda g: min(firsts[g]))
    moved = {g: np.abs(groups[g].reshape(-1, 2, H)).mean((0, 1)) for g in order}
    units = {g: int(moved[g].argmax()) for g in order}
    if not _even(units, H):
        # a softmax moves every unit: then the order of the parameters tells the units
        mixed = [g for g in order if (moved[g] > 1e-6 * moved[g].max()).sum() > 1]
        units |= {g: n % H for n, g in enumerate(mixed)}
    if not _even(units, H):
        raise Unreadable("the units do not have the same number of pre-activations")
    ranks: dict[int, int] = defaultdict(int)
    slots = {}
    for g in order:
        slots[g] = (ranks[units[g]], units[g])
        ranks[units[g]] += 1
    return slots


def _even(units: Mapping[int, int], H: int) -> bool:
    """Whether every unit has as many groups as every other."""
    counts = Counter(units.values())
    return len(counts) == H and len(set(counts.values())) == 1
