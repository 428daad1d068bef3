"""What feeds each gate, against what should: W h_{t-1} + U x_t + b, of parameters of the gate's own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from parity.doctor.bank import EQUATIONS, LETTERS, Change
from parity.doctor.claims import Claims
from parity.doctor.findings import Part
from parity.doctor.program import GATES
from parity.doctor.reading import Reading
from parity.doctor.search import Explanation
from parity.doctor.source import is_rising

KINDS = {"x": "input", "h": "recurrent", "1": "bias"}
_SYMBOLS = {"x": "U", "h": "W", "1": "b"}
_SAID = {"x": "x_t", "h": "h_{t-1}", "1": "its bias"}


@dataclass(frozen=True)
class Finding:
    """A change, and the parameter that shows it."""

    change: Change
    parameter: str | None = None


class Structure:
    """One explanation's pre-activations, looked at term by term.

    Attributes:
        faults: what a gate lacks, or takes from elsewhere.
        doubled: 1 where two gates have one pre-activation, else 0.
        warnings: what is laid out otherwise than it is named.
    """

    def __init__(self, reading: Reading, explanation: Explanation, claims: Claims) -> None:
        self.reading, self.explanation, self.claims = reading, explanation, claims
        self._kind_of = {"x": "x", "1": "1", "sum": "h + c"}
        h, c = ("first", "second") if explanation.h_in == 0 else ("second", "first")
        self._kind_of |= {h: "h", c: "c"}
        new_h, new_c = ("new first", "new second") if explanation.h_out == 0 else ("new second", "new first")
        self._kind_of |= {new_h: "new h", new_c: "new c"}
        two = self._doubled()
        self.doubled = len(two)
        self.faults: list[Finding] = [*two, *self._missing(), *self._foreign(), *self._shared()]

    def elements(self, gate: Part, kind: str | None = None) -> list[int]:
        """The parameters that feed a gate, by operand: x, h, c, 1, "new h", "new c"; None: all."""
        slot = self.explanation.slots.get(gate)
        return [
            t.element
            for t in self.reading.terms
            if t.slot == slot and (kind is None or self._kind_of[t.operand[0]] == kind)
        ]

    def name(self, gate: Part, kind: str | None = None) -> str | None:
        """The name of a gate's parameter in the student's code."""
        own = [e for e in self.elements(gate, kind) if self.claims.owner(e, self.explanation) in (gate, None)]
        claimed = [n for n, g in self.claims.by_name.items() if g == gate]
        if not own and claimed:
            return self.claims.alias(claimed[0])
        names = Counter(self.reading.name_of(e)[0] for e in own or self.elements(gate, kind))
        return self.claims.alias(names.most_common(1)[0][0]) if names else None

    def _partners(self, gate: Part) -> list[Part]:
        slots = self.explanation.slots
        return [g for g in slots if g != gate and slots[g] == slots[gate]]

    def _owner(self, element: int, fed: Sequence[Part]) -> str | None:
        """The gate of which a parameter is that feeds several."""
        name, index = self.reading.name_of(element)
        if self.claims.alias(name) in self.claims.called or len(fed) != 2:
            return self.claims.owner(element, self.explanation)
        if self.claims.cut and self.claims.quarter(name, index) is not None:
            return self.claims.owner(element, self.explanation)
        return self._by_place(element, fed) or self.claims.owner(element, self.explanation)

    def _by_place(self, element: int, pair: Sequence[Part]) -> Part | None:
        """Which of two gates a parameter is of, where the other's own lies dead among its like.

        The gates are written in an order, and so are the parameters of one shape: the dead place is of the
        gate that it would be in turn.
        """
        shape = self.reading.shapes[self.reading.name_of(element)[0]]
        row = [n for n, s in self.reading.shapes.items() if s == shape]
        living = {self.reading.name_of(t.element)[0] for t in self.reading.terms}
        dead = [n for n in row if n not in living]
        if len(dead) != 1:
            return None
        lines, order = {}, self._order(row)
        for gate in self.explanation.slots:
            own = {n for e in self.elements(gate) if (n := self.reading.name_of(e)[0]) in row}
            if gate not in pair and len(own) == 1:
                lines[own.pop()] = order[gate]
        first, second = (order[gate] for gate in pair)
        shared = self.reading.name_of(element)[0]
        ways = {pair[0]: {shared: first, dead[0]: second}, pair[1]: {shared: second, dead[0]: first}}
        rising = [g for g, way in ways.items() if is_rising([at[n] for n in row if n in (at := lines | way)])]
        return rising[0] if len(rising) == 1 else None

    def _order(self, row: Sequence[str]) -> dict[Part, int]:
        """Which gate comes first: by the places of its other parameters, else by where it is written."""
        places = {}
        for gate in self.explanation.slots:
            own = [e for e in self.elements(gate) if len(self.reading.slots_of(e)) == 1]
            names = {n for e in own if (n := self.reading.name_of(e)[0]) not in row}
            alike = [
                n for n, s in self.reading.shapes.items() if s in {self.reading.shapes[o] for o in names}
            ]
            if names and len(alike) > 1:
                places[gate] = min(alike.index(n) for n in names)
        if len(set(places.values())) == len(self.explanation.slots):
            return places
        return {gate: self.claims.written(gate) for gate in self.explanation.slots}

    def _doubled(self) -> list[Finding]:
        """Two gates with one pre-activation."""
        pair = [g for g in GATES if g in self.explanation.slots and self._partners(g)]
        if not pair:
            return []
        owners = Counter(o for e in self.elements(pair[0]) if (o := self._owner(e, pair)) in pair)
        # where nothing tells, what is written first has the weights by right
        owner = owners.most_common(1)[0][0] if owners else min(pair, key=self.claims.written)
        gate = next(g for g in pair if g != owner)
        program = self.explanation.program
        same = getattr(program, gate) == getattr(program, owner)
        kind = f"replaced-by-{owner}" if same else f"weights-of-{owner}"
        said = (
            f"{LETTERS[gate]} has always the value of {LETTERS[owner]}: one stands in the other's place, "
            "or takes its weights."
            if same
            else f"{LETTERS[gate]} is computed from the weights of {LETTERS[owner]}."
        )
        change = Change(
            gate,
            kind,
            {},
            gate,
            f"W_{gate} h_{{t-1}} + U_{gate} x_t + b_{gate}",
            said,
            f"Compute {LETTERS[gate]} from its own W_{gate}, U_{gate} and b_{gate}.",
        )
        return [Finding(change, self.name(gate))]

    def _missing(self) -> list[Finding]:
        found = []
        has_bias = [g for g in self.explanation.slots if self.elements(g, "1")]
        for gate in self.explanation.slots:
            for kind, word in KINDS.items():
                there = self.elements(gate, kind)
                instead = kind == "h" and any(
                    self.elements(gate, k) for k in ("c", "h + c", "new h", "new c")
                )
                if instead or (kind == "1" and not has_bias):
                    continue
                if not there:
                    found.append(Finding(_lacks(gate, kind, f"no-{word}"), self.name(gate)))
                elif kind != "1" and self._is_partial(gate, kind):
                    found.append(Finding(_lacks(gate, kind, f"partial-{word}"), self.name(gate, kind)))
        return found

    def _is_partial(self, gate: Part, kind: str) -> bool:
        """Whether a unit of the gate does not see all of x, or of h."""
        slot = self.explanation.slots[gate]
        seen = {
            (t.unit, t.operand[1])
            for t in self.reading.terms
            if t.slot == slot and self._kind_of[t.operand[0]] == kind
        }
        return len(seen) < self.reading.H * (self.reading.I if kind == "x" else self.reading.H)

    def _foreign(self) -> list[Finding]:
        found = []
        for gate in self.explanation.slots:
            for kind, word, said in (
                ("c", "sees-c", "c_{t-1}"),
                ("h + c", "sees-c", "h_{t-1} + c_{t-1}"),
                ("new c", "sees-new-c", "the new c_t"),
                ("new h", "sees-new-h", "the new h_t"),
            ):
                if self.elements(gate, kind):
                    place = "in the place of" if not self.elements(gate, "h") else "besides"
                    change = Change(
                        gate,
                        word,
                        {},
                        gate,
                        "h_{t-1}",
                        f"{LETTERS[gate]} is computed from {said}, {place} h_{{t-1}}.",
                        f"Compute {LETTERS[gate]} from h_{{t-1}} and x_t alone.",
                    )
                    found.append(Finding(change, self.name(gate, kind)))
        return found

    def _shared(self) -> list[Finding]:
        """Parameters that feed a gate besides their own."""
        gates = {slot: gate for gate, slot in self.explanation.slots.items()}
        borrowed: dict[tuple[Part, str, str], int] = {}
        for t in self.reading.terms:
            fed = self.reading.slots_of(t.element)
            gate = gates.get(t.slot)
            if len(fed) < 2 or gate is None:
                continue
            owner = self._owner(t.element, [gates[s] for s in fed if s in gates])
            if owner is None or owner not in gates.values():
                owner = min((gates[s] for s in fed if s in gates), key=GATES.index)
            kind = self._kind_of[t.operand[0]]
            if gate != owner and kind in KINDS:
                borrowed.setdefault((gate, kind, owner), t.element)
        found = []
        for (gate, kind, owner), element in borrowed.items():
            word = {"x": "input-weights", "h": "recurrent-weights", "1": "bias"}[kind]
            symbol = f"{_SYMBOLS[kind]}_{gate}"
            change = Change(
                gate,
                f"{word}-of-{owner}",
                {},
                gate,
                symbol,
                f"{LETTERS[gate]} takes {_SYMBOLS[kind]}_{owner}, which belongs to {LETTERS[owner]}, "
                f"in the place of {symbol}.",
                f"Give {LETTERS[gate]} its own {symbol}.",
            )
            found.append(Finding(change, self.claims.alias(self.reading.name_of(element)[0])))
        return found

    def warnings(self) -> list[str]:
        """What is laid out otherwise than names, order or neighbours let one expect."""
        return [*self._transposed(), *self._renamed(), *self._scaled()]

    def _renamed(self) -> list[str]:
        found = []
        for gate in self.explanation.slots:
            if self._partners(gate):  # that one takes another's weights is said already
                continue
            wrong = Counter(
                (self.reading.name_of(e)[0], claimed)
                for e in self.elements(gate)
                if len(self.reading.slots_of(e)) == 1 and (claimed := self.claims.of(e)) not in (gate, None)
            )
            if wrong:
                names = ", ".join(sorted({self.claims.alias(n) for n, _ in wrong}))
                others = ", ".join(sorted({LETTERS[c] for _, c in wrong if c}))
                found.append(
                    f"exchanged: {names} feeds {LETTERS[gate]}, "
                    f"but is named or cut as if it were of {others}."
                )
        return found

    def _axis(self, gate: Part, kind: str) -> int | None:
        """Along which axis of its two-dimensional array a gate's units lie."""
        slot, at = self.explanation.slots[gate], {}
        for t in self.reading.terms:
            if t.slot == slot and self._kind_of[t.operand[0]] == kind:
                at[t.unit, t.operand[1]] = self.reading.name_of(t.element)
        if {(0, 0), (1, 0)} <= at.keys():
            (name, a), (other, b) = at[0, 0], at[1, 0]
            if name == other and len(a) == 2:
                moved = [axis for axis in (0, 1) if a[axis] != b[axis]]
                return moved[0] if len(moved) == 1 else None
        return None

    def _transposed(self) -> list[str]:
        H = self.reading.H
        axes: dict[str, tuple[int, str]] = {}
        for gate in self.explanation.slots:
            inputs, axis = self._axis(gate, "x"), self._axis(gate, "h")
            names = {self.reading.name_of(e)[0] for e in self.elements(gate, "h")}
            square = [n for n in names if self.reading.shapes[n] == (H, H)]
            if inputs is not None and axis is not None and axis != inputs and square:
                axes[gate] = (axis, square[0])
        return [
            f"transposed: {name} (of {LETTERS[gate]}) multiplies h as its transpose would, "
            "if it is laid out as the input weights are."
            for gate, (_, name) in axes.items()
        ]

    def _scaled(self) -> list[str]:
        names = sorted(
            {self.reading.name_of(t.element)[0] for t in self.reading.terms if t.coefficient != 1.0}
        )
        return [f"scaled: {', '.join(names)}: not every parameter enters with the factor 1."] if names else []


def _lacks(gate: Part, kind: str, word: str) -> Change:
    symbol = _SYMBOLS[kind]
    term = {"x": f"U_{gate} x_t", "h": f"W_{gate} h_{{t-1}}", "1": f"b_{gate}"}[kind]
    assert EQUATIONS[gate].count(term) == 1
    part = "does not see" if word.startswith("no-") else "sees only a part of"
    what = (
        f"{LETTERS[gate]} {part} {_SAID[kind]}"
        if kind != "1"
        else f"{LETTERS[gate]} has no bias, though other gates have one"
    )
    return Change(
        gate, word, {}, gate, term, f"{what}.", f"Add {term} to {LETTERS[gate]}: give it {symbol}_{gate}."
    )
