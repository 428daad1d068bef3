"""How a cell behaves, whatever it computes: the same twice, row by row, in the precision that it is given.

What fails here would make every other probe misleading, so it is looked at first.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from parity.doctor.bank import Change
from parity.doctor.child import CallFailed
from parity.doctor.measuring import PRECISIONS, Precision
from parity.doctor.program import Array
from parity.doctor.subject import Run, Subject, Target

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Conduct:
    """What was found.

    Attributes:
        faults: changes of the gate "state".
        changed: inputs and parameters that a call changed in place.
        remembers: calls leave something behind: a fresh instance is needed for each.
        mixes_rows: a row's result depends on the others of its batch.
        random: the same call gives different results, of a fresh instance too.
        precision: the coarsest that the results show.
        dtype: in which it is called: float64, or float32 where the cell takes no other.
        beside: what is returned beside both states: "first" or "second" as returned, "old first" or "old
            second" as given; "" where it is nothing, or something else.
    """

    faults: tuple[Change, ...]
    changed: tuple[str, ...]
    remembers: bool
    mixes_rows: bool
    random: bool
    precision: Precision
    dtype: str
    beside: str = ""


def _state(kind: str, explanation: str, fix: str) -> Change:
    return Change("state", kind, {}, "states", "LSTM", explanation, fix)


RANDOM = _state(
    "random",
    "The same call gives different results: something random is drawn inside the cell.",
    "Take the randomness (dropout, noise, weights drawn in forward) out of the step.",
)
STATEFUL = _state(
    "stateful",
    "A call changes what the next call returns: the cell keeps something to itself between calls.",
    "Use only the states that are handed in, and keep nothing on self.",
)
ROWS = _state(
    "batch-dependence",
    "A row of the batch gives something else alone than among others: it depends on them, or on their count.",
    "Let every operation act on each row by itself; look for an axis of the batch (dim=0) in a softmax, "
    "a mean or a norm.",
)
ONE_ROW = _state(
    "sizes",
    "The cell cannot take a batch of one row, though it takes more.",
    "Do not squeeze axes away, and do not count on a size.",
)
SINGLE = _state(
    "sizes",
    "The cell takes single vectors [I] and [H] only; a batch [B, I] fails.",
    "Let every operation act along the last axis (dim=1 or dim=-1), not the first.",
)
SQUARE = _state(
    "sizes",
    "The cell runs only where the input is as wide as the hidden state.",
    "x has I columns and h has H: concatenate them along the features, or give each its own matrix.",
)
EVAL = _state(
    "eval-mode",
    "After eval() the cell computes something else than in training: what is tested is not what was trained.",
    "Take what asks for self.training out of the step.",
)
HALF = _state(
    "float16",
    "Numbers are rounded to half precision on the way: the results carry three digits. "
    "Smaller faults cannot be seen beside that.",
    "Compute in the precision of the inputs; leave .half(), float16 and bfloat16 away.",
)
ROUNDED = _state(
    "rounded",
    "The results do not change smoothly: they are rounded, or come in steps of some size. "
    "Smaller faults cannot be seen beside that.",
    "Compute in the precision of the inputs, without round().",
)
DOUBLE = _state(
    "float64",
    "Given float32 the cell hands back float64, which the next layer refuses or computes slowly.",
    "Create every tensor with the dtype of the inputs.",
)
HALF_OUT = _state(
    "float16",
    "Given float32 the cell hands back half precision.",
    "Hand the states back in the dtype of the inputs.",
)


DRAWS = "rand|dropout|normal|bernoulli|uniform|shuffle|choice|permutation"
"""What a name in the code looks like that draws random numbers."""


class Probe:
    """A subject as the rest of the examination calls it, one way for all its calls."""

    def __init__(
        self, subject: Subject, dtype: str = "float64", *, fresh: bool = False, by_row: bool = False
    ) -> None:
        self.subject, self.dtype, self.fresh, self.by_row = subject, dtype, fresh, by_row

    def __call__(
        self, parameters: Mapping[str, Array], x: Array, first: Array, second: Array
    ) -> tuple[Array, Array]:
        """As `reading.Cell`."""
        if not self.by_row:
            run = self.subject.run(parameters, x, first, second, dtype=self.dtype, fresh=self.fresh)
            return run.first, run.second
        N, B = max(len(a) for a in (*parameters.values(), x, first, second)), x.shape[1]
        parameters = {n: np.repeat(a, B, 0) if len(a) > 1 else a for n, a in parameters.items()}
        rows = [np.broadcast_to(a, (N, *a.shape[1:])).reshape(N * B, 1, -1) for a in (x, first, second)]
        run = self.subject.run(parameters, *rows, dtype=self.dtype, fresh=self.fresh)
        return run.first.reshape(N, B, -1), run.second.reshape(N, B, -1)


def observe(
    subject: Subject,
    target: Target,
    shapes: Shapes,
    I: int,  # noqa: E741
    H: int,
    rng: np.random.Generator,
) -> Conduct:
    """Look at a built cell's behaviour.

    Raises:
        CallFailed, Unexamined: as `Subject.run`.
    """
    B = 5
    given = {n: rng.normal(0.0, 0.6, (1, *s)) for n, s in shapes.items()}
    x, first, second = rng.normal(0.0, 1.0, (1, B, I)), *rng.normal(0.0, 1.0, (2, 1, B, H))
    natural = subject.run(given, x, first, second, dtype="float32")
    try:
        runs = [subject.run(given, x, first, second) for _ in range(3)]
        dtype = "float64"
    except CallFailed:
        runs = [subject.run(given, x, first, second, dtype="float32") for _ in range(3)]
        dtype = "float32"
    faults = []
    random = remembers = False
    if not all(_same(runs[0], r) for r in runs[1:]):
        random = _is_random(subject, target, I, H, given, dtype, rng)
        remembers = not random
        faults.append(RANDOM if random else STATEFUL)
    precision = PRECISIONS[0]
    mixes = False
    if remembers and not _same(
        *(subject.run(given, x, first, second, dtype=dtype, fresh=True) for _ in "ab")
    ):
        random = True  # something outside of it remembers, and nothing more can be seen
    if not random:
        probe = Probe(subject, dtype, fresh=remembers)
        mixes = _mixes_rows(probe, given, x, first, second, faults)
        if target.framework == "torch" and not (mixes or remembers):
            evaluated = subject.run(given, x, first, second, dtype=dtype, training=False)
            if not _same(runs[0], evaluated):
                faults.append(EVAL)
        precision = _precision(probe, given, x, first, second)
    if precision.name == "float16":
        faults.append(HALF if _is_half(subject, runs[0]) else ROUNDED)
    elif any(t in ("float16", "bfloat16") for t in natural.dtypes):
        faults.append(HALF_OUT)
    elif target.framework == "torch" and "float64" in natural.dtypes:
        faults.append(DOUBLE)
    changed = tuple(dict.fromkeys((*natural.changed, *(n for r in runs for n in r.changed))))
    named = {"first": runs[0].first, "second": runs[0].second, "old first": first, "old second": second}
    other = runs[0].beside
    beside = next((n for n, a in named.items() if other is not None and np.array_equal(other, a)), "")
    return Conduct(tuple(faults), changed, remembers, mixes, random, precision, dtype, beside)


def _is_random(
    subject: Subject,
    target: Target,
    I: int,  # noqa: E741
    H: int,
    given: Mapping[str, Array],
    dtype: str,
    rng: np.random.Generator,
) -> bool:
    """Whether calls differ because numbers are drawn in them, and not because of the calls before.

    Equal rows that come out different are drawn. Else a new instance, whose draws repeat, is called once with
    other inputs before: what then changes the call is remembered.
    """
    x, first, second = rng.normal(0.0, 1.0, (1, 1, I)), *rng.normal(0.0, 1.0, (2, 1, 1, H))
    rows = subject.run(given, *(np.repeat(a, 8, 1) for a in (x, first, second)), dtype=dtype)
    if any(np.abs(a - a[:, :1]).max() > 0 for a in (rows.first, rows.second)):
        return True
    seen = []
    for before in (1.0, -2.0):
        subject.build(target, I, H)
        subject.run(given, before * x, before * first, before * second, dtype=dtype)
        seen.append(subject.run(given, x, first, second, dtype=dtype))
    drawn = re.search(DRAWS, subject.source)
    return _same(*seen) and bool(drawn)


def _same(a: Run, b: Run) -> bool:
    return np.array_equal(a.first, b.first, equal_nan=True) and np.array_equal(
        a.second, b.second, equal_nan=True
    )


def _mixes_rows(
    probe: Probe, given: Mapping[str, Array], x: Array, first: Array, second: Array, faults: list[Change]
) -> bool:
    """Whether a row alone gives other values than in its batch; that a batch of one fails is a fault."""
    whole = probe(given, x, first, second)
    try:
        alone = [probe(given, *(a[:, b : b + 1] for a in (x, first, second))) for b in range(x.shape[1])]
    except CallFailed:
        faults.append(ONE_ROW)
        other = [np.roll(a, 2, axis=1) for a in (x, first, second)]
        again = probe(
            given,
            *(
                np.concatenate([a[:, :2], o[:, 2:]], 1)
                for a, o in zip((x, first, second), other, strict=True)
            ),
        )
        differ = any(np.abs(w[:, :2] - a[:, :2]).max() > 1e-5 for w, a in zip(whole, again, strict=True))
    else:
        rows = [np.concatenate(parts, 1) for parts in zip(*alone, strict=True)]
        differ = any(
            np.abs(w - r).max() > 1e-5 * (1 + np.abs(w).max()) for w, r in zip(whole, rows, strict=True)
        )
    if differ:
        faults.append(ROWS)
    return differ


def _is_half(subject: Subject, run: Run) -> bool:
    """Whether half precision is named in the code, or a state is one of its numbers."""
    if re.search(r"\bhalf\b|float16", subject.source):
        return True
    return any(np.array_equal(a, a.astype(np.float16).astype(np.float64)) for a in (run.first, run.second))


def _precision(probe: Probe, given: Mapping[str, Array], x: Array, first: Array, second: Array) -> Precision:
    """The precision that results show: second differences of a smooth function vanish, rounding does not."""

    def rough(step: float) -> float:
        points = step * np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
        moved = {n: a + points.reshape(-1, *[1] * (a.ndim - 1)) * np.sign(a) for n, a in given.items()}
        results = probe(moved, x + points[:, None, None], first, second)
        # rounding shows in most numbers, the kink of a ReLU in few
        return max(float(np.median(np.abs(np.diff(r, n=2, axis=0)).max(0))) for r in results)

    if rough(1e-3) > 5e-5:
        return PRECISIONS[2]
    return PRECISIONS[0] if rough(1e-6) < 2e-10 else PRECISIONS[1]
