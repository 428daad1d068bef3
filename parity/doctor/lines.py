"""Which line of a student's file shows a fault; None where the source does not show it.

What is wrong is known by then, from behaviour; the source is asked only where it stands. A gate in another's
place, for one, is a slip where the gate is used if its name is missing there, else where it is computed.
"""

import ast
import re
from collections.abc import Iterator

from parity.doctor.bank import Change
from parity.doctor.classifier_bank import STATEFUL
from parity.doctor.conduct import DRAWS
from parity.doctor.names import C_STATE, GENERIC, H_STATE, gate_of_variable
from parity.doctor.program import GATES
from parity.doctor.source import Assignment, Source, called, mentions

_DOES = {
    "random": DRAWS,
    "eval-mode": "^training$",
    "float16": "^half$|float16",
    "float64": "^double$|float64",
    "rounded": "round|floor|ceil|trunc",
}
"""Kind of a cell's fault → what a name in the code looks like that does it."""
_STEPS = {
    "no-zero-grad": "backward",
    "zero-grad-too-late": "zero_grad",
    "no-backward": "backward",
    "eval-mode": "eval",
    "softmax-before-loss": "softmax",
    "optimizer-state-dropped": "update",
    "optimizer-made-anew": r"SGD|RMSprop|\w*Adam\w*|Adagrad|init",
}
"""Kind of a training step's fault → what is called where it is, or where what is missing comes after."""
_CUTS = re.compile(r"^(detach_?|data|item|tolist|no_grad|inference_mode|stop_gradient|requires_grad_?)$")
_ACTIVATES = re.compile(r"sig|tanh|relu|elu|soft|clip|clamp|^act|activation|logistic|expit", re.I)
_ZEROS = {"zeros", "zeros_like", "new_zeros"}
_MAKES = _ZEROS | {"randn", "ones", "rand"}
_CALLS = {"same-step", "state-swapped", "not-carried", "c-not-carried", "h-not-carried"}


class Lines:
    """The lines of one object of a student's file.

    Args:
        source: of the object.
        definition: its own line, for what is nowhere in particular.
    """

    def __init__(self, source: Source, definition: int | None = None) -> None:
        self.source, self.definition = source, definition

    def of_cell(self, change: Change, parameter: str | None = None) -> int | None:
        """Where a cell does it.

        Args:
            parameter: the name of the gate's own.
        """
        if change.kind.endswith("detached") and (line := self._cut(change, parameter)):
            return line
        if change.kind.startswith("replaced-by-") or change.kind in ("coupled", "used-as-c"):
            return self._replaced(change, parameter)
        if change.kind == "states-exchanged":
            return self._renamed() or self.state("c")
        if change.kind == "sees-c" and (line := self._shared(change.gate, parameter)):
            return line
        if change.equation in GATES:
            used = self._used(change.equation) if change.kind.startswith("activation-") else None
            return used or self.gate(change.equation, parameter)
        if change.equation == "states":
            return self.returned() if change.term != "LSTM" else self._does(change.kind) or self.definition
        return self.state(change.equation[0])

    def of_classifier(self, change: Change) -> int | None:
        """Where a classifier does it."""
        if change.kind in ("same-cell-in-all-layers", "one-layer-forget-bias"):
            return self.definition
        if change.kind == STATEFUL.kind:
            return self._kept() or self._start() or self.definition
        if change.equation == STATEFUL.equation:
            return self._start() or self.definition
        if "LSTM" in change.equation:
            cut = [line for line, _ in self._cuts()] if change.kind == "detached" else []
            carried = self._carried() if change.kind in _CALLS else None
            return min(cut, default=None) or carried or self._loop()
        return self.returned()

    def of_training(self, change: Change) -> int | None:
        """Where a training step does it."""
        if change.kind == "other-move" and len(steps := self._words("^step$")) > 1:
            return max(steps)
        name = _STEPS.get(change.kind)
        return min(self._words(f"^({name})$") if name else [], default=self.definition)

    def gate(self, gate: str, parameter: str | None = None) -> int | None:
        """Where a gate is computed: the last assignment to its variable or from its parameter, or its use."""
        if found := self._gate(gate, parameter):
            return found.line
        use = self._state("h" if gate == "o" else "c")
        return use.line if use and _is_nested(use.value) else None

    def state(self, state: str) -> int | None:
        """Where "c" or "h" is computed."""
        found = self._state(state)
        return found.line if found else None

    def returned(self) -> int | None:
        """The last return."""
        return max((r.line for r in self.source.returns), default=None)

    def _gate(self, gate: str, parameter: str | None = None) -> Assignment | None:
        named = [a for a in self.source.assignments if gate_of_variable(a.target) == gate]
        parts = set(parameter.split(".")) - GENERIC if parameter else set()
        using = [a for a in self.source.assignments if a.mentions & parts]
        sharp = [a for a in named if a in using]
        for found in (sharp, named, using if len(using) == 1 else []):
            if found:
                return found[-1]
        return None

    def _state(self, state: str) -> Assignment | None:
        """The last assignment of arithmetic to a variable named so; of h the return, if that computes."""
        pattern = C_STATE if state == "c" else H_STATE
        named = [a for a in self.source.assignments if pattern.match(a.target)]
        returned = self.source.returns if state == "h" else []
        found = [a for a in returned + named if _computes(a.value)]
        return found[-1] if found else None

    def _replaced(self, change: Change, parameter: str | None) -> int | None:
        """Where a gate has another value than its own: where it is used, if its name is missing there."""
        use = self._state("h" if change.gate == "o" else "c")
        named = {gate_of_variable(name) for name in use.mentions} - {None} if use else set()
        if change.gate in named or (change.equation in GATES and not named - {"c"}):
            return self.gate(change.gate, parameter)
        return use.line if use else None

    def _shared(self, gate: str, parameter: str | None) -> int | None:
        """Where c is put into what a gate is computed from, if not where the gate itself is."""
        made = self._gate(gate, parameter)
        if made is None or any(_holds(name) == "c_t" for name in made.mentions):
            return None
        found = [
            a.line
            for a in self.source.assignments
            if a.line < made.line and a.target in made.mentions and "c_t" in map(_holds, a.mentions)
        ]
        return max(found, default=None)

    def _renamed(self) -> int | None:
        """Where a state is assigned to the name of the other."""
        states = {"h_t", "c_t"}
        for a in self.source.assignments:
            if isinstance(a.value, ast.Name) and {_holds(a.target), _holds(a.value.id)} == states:
                return a.line
        return None

    def _used(self, gate: str) -> int | None:
        """Where a gate is first used, if this is where the source applies activations."""
        made = self._gate(gate)
        if made is None or any(_ACTIVATES.search(name) for name in made.mentions):
            return None
        calls = [n for n in self.source.nodes if isinstance(n, ast.Call) and _ACTIVATES.search(called(n))]
        if not any(map(gate_of_variable, filter(None, map(_operand, calls)))):
            return None
        used = (n.lineno for n in self.source.nodes if isinstance(n, ast.Name) and n.id == made.target)
        return min((line for line in used if line > made.line), default=None)

    def _does(self, kind: str) -> int | None:
        if kind == "stateful":
            return self._kept()
        if kind == "in-place":
            return self._in_place()
        return min(self._words(_DOES[kind]), default=None) if kind in _DOES else None

    def _words(self, pattern: str) -> set[int]:
        """The lines that use a function or an attribute of such a name; else those of its helpers."""
        own = {a.target for a in self.source.assignments}
        for nodes in (self.source.nodes, self.source.helpers):
            found = {
                n.lineno
                for n in nodes
                if (isinstance(n, ast.Attribute) and re.search(pattern, n.attr))
                or (
                    isinstance(n, ast.Name)
                    and isinstance(n.ctx, ast.Load)
                    and n.id not in own
                    and re.search(pattern, n.id)
                )
            }
            if found:
                return found
        return set()

    def _cut(self, change: Change, parameter: str | None) -> int | None:
        """Where a gradient is cut: the line that names it, or the only line that cuts and names none."""
        wanted = change.gate if change.gate in GATES else change.kind.removesuffix("-detached")[-1] + "_t"
        parts = set(parameter.split(".")) - GENERIC if parameter else set()
        cuts = [(line, {_holds(name) for name in names}, names & parts) for line, names in self._cuts()]
        own = [line for line, held, named in cuts if wanted in held or named]
        none = [line for line, held, _ in cuts if held == {None}]
        return min(own, default=none[0] if len(none) == 1 else None)

    def _cuts(self) -> Iterator[tuple[int, frozenset[str]]]:
        """The lines that cut gradients, each with the names of what is cut and what it becomes."""
        for nodes in (self.source.nodes, self.source.helpers):
            found: dict[int, frozenset[str]] = {}
            cuts = [n for n in nodes if isinstance(n, ast.Attribute | ast.Call) and _CUTS.search(_last(n))]
            for n in cuts:
                became = {a.target for a in self.source.assignments if n in ast.walk(a.value)}
                found[n.lineno] = found.get(n.lineno, frozenset()) | mentions(n) | became
            yield from found.items()
            if found:
                return

    def _kept(self) -> int | None:
        """Where something is kept in an attribute from one call to the next; None where that is not plain."""
        stores: dict[str, list[int]] = {}
        loads: dict[str, list[int]] = {}
        for n in self.source.nodes:
            if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "self":
                (stores if isinstance(n.ctx, ast.Store) else loads).setdefault(n.attr, []).append(n.lineno)
        kept = [max(lines) for name, lines in stores.items() if min(loads.get(name, [10**9])) <= max(lines)]
        every = {line for lines in stores.values() for line in lines}
        return max(kept, default=every.pop() if len(every) == 1 else None)

    def _in_place(self) -> int | None:
        """The first line that looks as if it changed an array: c *= f, c[:] = f, c.mul_(f)."""

        def changes(n: ast.AST) -> bool:
            if isinstance(n, ast.Assign):
                return any(isinstance(t, ast.Subscript) for t in n.targets)
            return isinstance(n, ast.AugAssign) or (
                isinstance(n, ast.Call) and bool(re.search(r"[a-z]_$", called(n)))
            )

        found = (n.lineno for n in self.source.nodes if isinstance(n, ast.stmt | ast.Call) and changes(n))
        return min(found, default=None)

    def _loop(self) -> int | None:
        """The last loop, or scan."""
        return max((n.lineno for n in self._loops()), default=None)

    def _loops(self) -> Iterator[ast.For | ast.While | ast.Call]:
        for n in ast.walk(self.source.node):
            if isinstance(n, ast.For | ast.While):
                yield n
            if isinstance(n, ast.Call) and called(n) in ("scan", "fori_loop"):
                yield n

    def _carried(self) -> int | None:
        """Where the last loop assigns states; None where it does so in several places, or in none."""
        last = max(self._loops(), key=lambda n: n.lineno, default=None)
        inside = {n.lineno for n in ast.walk(last) if isinstance(n, ast.Assign)} if last else set()
        found = {
            a.line
            for a in self.source.assignments
            if a.line in inside and _holds(a.target) in ("h_t", "c_t") and isinstance(a.value, ast.Call)
        }
        return found.pop() if len(found) == 1 else None

    def _start(self) -> int | None:
        """Where the states are first given a value in the method that unrolls."""
        states = [a for a in self.source.assignments if re.match(r"^(self\.)?[hc]", a.target, re.I)]
        made = [a.line for a in self.source.assignments if a.mentions & _MAKES]
        plain = [a.line for a in states if not _computes(a.value)]
        loop = self._loop()
        before = [a.line for a in states if loop and a.line < loop]
        return min(made or plain or before, default=None)


def _holds(name: str) -> str | None:
    """The gate that a variable's name claims; "h_t", "c_t" or "x_t" for hx, c_prev, x of whichever step."""
    bare = name.removeprefix("self.").lower()
    found = re.match(r"(h|c|x)(?![a-z])|(h|c)(?:[xty]|prev|old|new|next)|(h)idden|(c)ell|memory", bare)
    letter = found and next(filter(None, found.groups()), "c")
    return gate_of_variable(bare) or (f"{letter}_t" if letter else None)


def _last(node: ast.Attribute | ast.Call) -> str:
    return called(node) if isinstance(node, ast.Call) else node.attr


def _operand(call: ast.Call) -> str | None:
    """The variable of σ(f) or f.sigmoid()."""
    of = call.args[0] if call.args else getattr(call.func, "value", None)
    return of.id if isinstance(of, ast.Name) else None


def _is_nested(value: ast.expr) -> bool:
    """Whether a gate is computed within it: σ(W(z)) ⊙ c, and not σ(f) ⊙ c."""
    return any(isinstance(n, ast.Call) and _operand(n) is None for n in ast.walk(value))


def _computes(value: ast.expr) -> bool:
    """Whether it is arithmetic, and not a mere start value or unpacking."""
    return any(isinstance(n, ast.BinOp | ast.Call) for n in ast.walk(value)) and not any(
        isinstance(n, ast.Attribute) and n.attr in _ZEROS for n in ast.walk(value)
    )
