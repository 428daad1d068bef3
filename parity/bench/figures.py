"""What a benchmark finds: figures of contenders, one value per round."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import median

from parity.bench.contenders import REFERENCE
from parity.bench.process import Dropped


@dataclass(frozen=True)
class Spread:
    """Median, least and largest of several figures."""

    median: float
    min: float
    max: float

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        """Of at least one figure."""
        return Spread(median(values), min(values), max(values))


@dataclass
class Row:
    """One contender in one figure.

    Attributes:
        values: one per round; those of one round were taken one after the other.
        about: which kernel ran, on what.
        missing: why there are none, or "".
        size: where a figure grows with a size, which one it is; rows are compared with those of the same.
    """

    contender: str
    values: list[float] = field(default_factory=list)
    about: str = ""
    missing: str = ""
    size: str = ""

    @property
    def label(self) -> str:
        """The contender, and its size where there is one."""
        return f"{self.contender}, {self.size}" if self.size else self.contender

    @contextmanager
    def excused(self) -> Iterator[None]:
        """A contender that fails in here has no figures at all; why is kept."""
        try:
            yield
        except Dropped as dropped:
            self.drop(str(dropped))

    def drop(self, why: str) -> None:
        """Leave no figures but the reason why."""
        self.values.clear()
        self.missing = why


@dataclass
class Figure:
    """One figure of all contenders.

    Attributes:
        name: what it is. work: on what. unit: "s" or "bytes".
        floor: the matrix products alone, in seconds, where they are measured.
        reference: the contender that the others are compared with.
    """

    name: str
    work: str
    unit: str = "s"
    rows: list[Row] = field(default_factory=list)
    floor: "Floor | None" = None
    reference: str = REFERENCE

    def ratio(self, row: Row) -> Spread | None:
        """How many times as fast as the reference, round by round; None where either has no figures."""
        same = (r for r in self.rows if r.size == row.size)
        reference = next((r for r in same if r.contender == self.reference), None)
        if not reference or not reference.values or not row.values:
            return None
        return Spread.of([a / b for a, b in zip(reference.values, row.values, strict=True)])

    def speed(self, contender: str, other: str) -> Spread | None:
        """How many times as fast as the other a contender is, round by round."""
        row = next((row for row in self.rows if row.contender == contender), None)
        return replace(self, reference=other).ratio(row) if row else None


@dataclass(frozen=True)
class Floor:
    """The matrix products of a training step alone, each part made in its cheapest way.

    Attributes:
        products: name → (the fastest library, its median in seconds).
    """

    products: dict[str, tuple[str, float]]

    @property
    def seconds(self) -> float:
        """All of them, each at the best rate that a library here reaches."""
        return sum(seconds for _, seconds in self.products.values())
