"""What names and places claim: which gate a parameter is of, and which of two states is h."""

import re
from collections import Counter, defaultdict
from functools import cached_property

from parity.doctor.lines import Lines
from parity.doctor.names import claims
from parity.doctor.reading import Reading
from parity.doctor.sandbox import roles
from parity.doctor.search import Explanation
from parity.doctor.source import Source, claims_of

_STEP = re.compile(r"new|next|now|out|cur(rent|r)?")


def stated_h(names: tuple[str, ...] | None) -> int | None:
    """Which of two states is called h; None where names do not tell."""
    called_c = [_is_c(name) for name in names or ()]
    return called_c.index(False) if sorted(called_c) == [False, True] else None


def claimed_h(names: tuple[str, ...] | None) -> int:
    """Which of two states is called h; the first where names do not tell."""
    return stated_h(names) or 0


def _is_c(name: str) -> bool:
    """Whether a name is one of the cell state, of whichever step: c_prev, new_c, memory."""
    bare = roles.core(_STEP.sub("", name.lower()))
    return bare in roles.C or bare.startswith("c")


class Claims:
    """Which gate each single parameter belongs to, as names, cuts and neighbours say.

    Args:
        reading: for the parameters' shapes.
        source: of the examined object.
    """

    def __init__(self, reading: Reading, source: Source) -> None:
        self.reading, self.source = reading, source
        H = reading.H
        # an array of all gates is of none, whatever its name: x2g
        names = [n for n, s in reading.shapes.items() if 4 * H not in s and (len(s) < 2 or s[0] != 4)]
        self.called = claims([source.alias(n) for n in names])
        self.by_name = claims_of(source, names, self.called)
        self.cut = source.fused_order() or source.written_order()
        self.alias = source.alias

    def of(self, element: int) -> str | None:
        """The gate that the parameter's name, or its place in a fused matrix, claims."""
        name, index = self.reading.name_of(element)
        if name in self.by_name:
            return self.by_name[name]
        quarter = self.quarter(name, index)
        return self.cut[0][quarter] if self.cut and quarter is not None else None

    def written(self, gate: str) -> int:
        """The line on which a gate is computed, or a very late one."""
        return Lines(self.source).gate(gate) or 10**9

    def quarter(self, name: str, index: tuple[int, ...]) -> int | None:
        """Which of four equal parts of a fused array an index lies in."""
        shape, H = self.reading.shapes[name], self.reading.H
        for axis, size in enumerate(shape):
            if size == 4 * H:
                return index[axis] % 4 if self._interleaved else index[axis] // H
        return index[0] if len(shape) > 1 and shape[0] == 4 and H != 4 else None

    @cached_property
    def _interleaved(self) -> bool:
        """Whether a unit's four gates stand side by side in fused arrays, as reshape(B, H, 4) takes them."""
        H, found = self.reading.H, []
        for t in self.reading.terms:
            name, index = self.reading.name_of(t.element)
            found += [
                (i, t.unit) for i, size in zip(index, self.reading.shapes[name], strict=True) if size == 4 * H
            ]
        return any(i % H != unit for i, unit in found) and all(i // 4 == unit for i, unit in found)

    def home(self, element: int) -> tuple[str, int | None]:
        """What a parameter has in common with the others of its gate: its module or number, its quarter."""
        name, index = self.reading.name_of(element)
        parts = name.split(".")
        stem = ".".join(parts[:-1]) if len(parts) > 1 else name.lstrip("wWuUbBvV_")
        return stem, self.quarter(name, index)

    def agreement(self, explanation: Explanation) -> int:
        """How many parameters feed the gate that they claim, less those that feed another."""
        score = 0
        slots = {slot: gate for gate, slot in explanation.slots.items()}
        for e, fed in self._fed.items():
            claimed = self.of(e)
            if claimed and len(fed) == 1:
                gate = slots.get(next(iter(fed)))
                score += 1 if gate == claimed else -1
        return score

    @cached_property
    def _fed(self) -> dict[int, frozenset[int]]:
        fed: dict[int, set[int]] = defaultdict(set)
        for t in self.reading.terms:
            fed[t.element].add(t.slot)
        return {e: frozenset(s) for e, s in fed.items()}

    def owner(self, element: int, explanation: Explanation) -> str | None:
        """The gate that a parameter belongs to, which is not always the only one that it feeds."""
        claimed = self.of(element)
        if claimed:
            return claimed
        fed = self._fed.get(element, frozenset())
        taken = Counter(explanation.slots.values())
        slots = {slot: gate for gate, slot in explanation.slots.items() if taken[slot] == 1}
        if len(fed) == 1:
            return slots.get(next(iter(fed)))
        home = self.home(element)
        beside = Counter(
            next(iter(f))
            for e, f in self._fed.items()
            if e != element and len(f) == 1 and self.home(e) == home
        )
        near = beside.most_common(2)
        if near and (len(near) == 1 or near[0][1] > near[1][1]):
            return slots.get(near[0][0])
        return None
