"""The bank of hypotheses: every single thing that a cell's code may do otherwise, and how it is said.

A `Change` is one changed place of a `Program`. Those with `relabels` leave a right LSTM whose parameters are
read another way: 1 − σ(z) is σ(−z), and σ(z + 1) is σ(z) with another bias.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from parity.doctor.findings import Counterexample, Fault, Part
from parity.doctor.program import ACTIVATIONS, COMPOSED, GATES, RIGHT, Program

LETTERS = {"i": "i", "f": "f", "o": "o", "c": "c̃"}
EQUATIONS: dict[str, str] = {
    "i": "i = σ(W_i h_{t-1} + U_i x_t + b_i)",
    "f": "f = σ(W_f h_{t-1} + U_f x_t + b_f)",
    "o": "o = σ(W_o h_{t-1} + U_o x_t + b_o)",
    "c": "c̃ = tanh(W_c h_{t-1} + U_c x_t + b_c)",
    "c_t": "c_t = f ⊙ c_{t-1} + i ⊙ c̃",
    "h_t": "h_t = o ⊙ tanh(c_t)",
    "states": "(h_t, c_t) = LSTM(x_t, h_{t-1}, c_{t-1})",
}


@dataclass(frozen=True)
class Change:
    """One hypothesis.

    Attributes:
        gate, kind: its name.
        fields: of `Program` → their value in place of the default.
        equation: key of `EQUATIONS`, or another equation itself.
        term: of that equation, the part that is wrong.
        explanation: what the code does.
        fix: what to write instead.
        relabels: with the parameters read another way this is a right LSTM.
    """

    gate: Part
    kind: str
    fields: Mapping[str, Any]
    equation: str
    term: str
    explanation: str
    fix: str
    relabels: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """(gate, kind)."""
        return self.gate, self.kind

    def fault(
        self,
        line: int | None,
        parameter: str | None = None,
        counterexample: Counterexample | None = None,
    ) -> Fault:
        """What is said of it where a student's code does it."""
        return Fault(
            gate=self.gate,
            kind=self.kind,
            equation=EQUATIONS.get(self.equation, self.equation),
            term=self.term,
            parameter=parameter,
            line=line,
            explanation=self.explanation,
            fix=self.fix,
            counterexample=counterexample,
        )


def apply(changes: tuple[Change, ...]) -> Program | None:
    """The program with these changes; None where two of them touch the same place."""
    fields: dict[str, Any] = {}
    for change in changes:
        for name, value in change.fields.items():
            if name == "flipped":
                value = value | fields.get(name, frozenset())
            elif name == "offsets":
                if value[0][0] in dict(fields.get(name, ())):
                    return None
                value = (*fields.get(name, ()), *value)
            elif name in fields:
                return None
            fields[name] = value
    return replace(RIGHT, **fields)


_SAYS = {
    "none": "no activation at all",
    "sigmoid": "σ",
    "tanh": "tanh",
    "relu": "ReLU",
    "leaky-relu": "leaky ReLU",
    "hard-sigmoid": "the hard sigmoid clip(z/6 + 1/2, 0, 1)",
    "hard-sigmoid-0.2": "the hard sigmoid clip(0.2 z + 1/2, 0, 1)",
    "hard-tanh": "clip(z, -1, 1)",
    "softmax": "softmax over the units",
    "softmax-over-batch": "softmax over the rows of the batch",
    "softplus": "softplus",
    "softsign": "softsign",
    "sin": "sin",
    "exp": "exp",
    "sigmoid-twice": "σ(σ(z))",
    "tanh-twice": "tanh(tanh(z))",
    "sigmoid-tanh": "tanh(σ(z))",
    "tanh-sigmoid": "σ(tanh(z))",
}
_KINDS = {"hard-sigmoid-0.2": "hard-sigmoid"} | dict.fromkeys(COMPOSED, "twice")


def _activations() -> list[Change]:
    changes = []
    for gate in GATES:
        right, sign = ("tanh", "tanh") if gate == "c" else ("sigmoid", "σ")
        for name in (*ACTIVATIONS, *COMPOSED):
            if name != right:
                changes.append(
                    Change(
                        gate,
                        f"activation-{_KINDS.get(name, name)}",
                        {gate: name},
                        gate,
                        sign,
                        f"{LETTERS[gate]} goes through {_SAYS[name]} in place of {sign}.",
                        f"Compute {LETTERS[gate]} with {sign}.",
                    )
                )
    for name in (*ACTIVATIONS, *COMPOSED):
        if name not in ("tanh", "softmax-over-batch"):
            changes.append(
                Change(
                    "state",
                    f"tanh-c-{_KINDS.get(name, name)}",
                    {"squash": name},
                    "h_t",
                    "tanh",
                    f"The cell state goes through {_SAYS[name]} in place of tanh on its way to h.",
                    "Write h_t = o ⊙ tanh(c_t).",
                )
            )
    return changes


_FIX_C = "Write c_t = f ⊙ c_{t-1} + i ⊙ c̃."
_FIX_H = "Write h_t = o ⊙ tanh(c_t)."
_FIX_RETURN = "Return the new h_t and the new c_t."


def _c(gate: Part, kind: str, fields: Mapping[str, Any], term: str, formula: str, note: str = "") -> Change:
    """A change of the cell state's line; `formula` is what the code computes."""
    said = f"The code computes {formula}" + (f": {note}." if note else ".")
    return Change(gate, kind, fields, "c_t", term, said, _FIX_C)


def _h(gate: Part, kind: str, fields: Mapping[str, Any], term: str, formula: str, note: str = "") -> Change:
    said = f"The code computes {formula}" + (f": {note}." if note else ".")
    return Change(gate, kind, fields, "h_t", term, said, _FIX_H)


def _returned(kind: str, fields: Mapping[str, Any], term: str, said: str) -> Change:
    return Change("state", kind, fields, "states", term, said, _FIX_RETURN)


_UPDATES = [
    _c("f", "unused", {"keep": "1"}, "f", "c_t = c_{t-1} + i ⊙ c̃", "the forget gate is left out"),
    _c("i", "unused", {"write": "1"}, "i", "c_t = f ⊙ c_{t-1} + c̃", "the input gate is left out"),
    _c("c", "unused", {"candidate": "1"}, "c̃", "c_t = f ⊙ c_{t-1} + i", "the candidate is left out"),
    _c("f", "plus", {"keep_op": "+"}, "f ⊙ c_{t-1}", "c_t = (f + c_{t-1}) + i ⊙ c̃", "+ stands for ⊙"),
    _c("i", "plus", {"write_op": "+"}, "i ⊙ c̃", "c_t = f ⊙ c_{t-1} + (i + c̃)", "+ stands for ⊙"),
    _c("i", "minus", {"write_op": "-"}, "i ⊙ c̃", "c_t = f ⊙ c_{t-1} + (i - c̃)", "- stands for ⊙"),
    _c("state", "times", {"join": "*"}, "+", "c_t = (f ⊙ c_{t-1}) ⊙ (i ⊙ c̃)", "⊙ stands for +"),
    _c("state", "mean", {"join": "mean"}, "+", "the mean of f ⊙ c_{t-1} and i ⊙ c̃ in place of their sum"),
    _c("state", "forget-after-write", {"keep_all": True}, "f ⊙ c_{t-1}", "c_t = f ⊙ (c_{t-1} + i ⊙ c̃)"),
    _c("i", "coupled", {"write": "1-f"}, "i", "c_t = f ⊙ c_{t-1} + (1 - f) ⊙ c̃",
       "i has no weights of its own"),
    _c("f", "coupled", {"keep": "1-i"}, "f", "c_t = (1 - i) ⊙ c_{t-1} + i ⊙ c̃",
       "f has no weights of its own"),
    _c("state", "c-not-carried", {"keep": "0"}, "f ⊙ c_{t-1}", "c_t = i ⊙ c̃", "the old cell state is lost"),
    _c("state", "nothing-written", {"write": "0"}, "i ⊙ c̃", "c_t = f ⊙ c_{t-1}", "nothing new is written"),
    _c("state", "c-overwritten", {"carried": "c_tilde"}, "c_{t-1}", "c_t = f ⊙ c̃ + i ⊙ c̃",
       "the candidate has taken the place of c_{t-1} too early"),
    _c("state", "c-from-h", {"carried": "h"}, "c_{t-1}", "c_t = f ⊙ h_{t-1} + i ⊙ c̃", "h stands for c"),
    _c("state", "h-for-candidate", {"candidate": "h"}, "c̃", "c_t = f ⊙ c_{t-1} + i ⊙ h_{t-1}"),
    _c("state", "c-for-candidate", {"candidate": "c"}, "c̃", "c_t = f ⊙ c_{t-1} + i ⊙ c_{t-1}"),
    _h("o", "unused", {"out": "1"}, "o", "h_t = tanh(c_t)", "the output gate is left out"),
    _h("o", "plus", {"out_op": "+"}, "o ⊙ tanh(c_t)", "h_t = o + tanh(c_t)", "+ stands for ⊙"),
    _h("state", "tanh-outside", {"outside": True}, "tanh(c_t)", "h_t = tanh(o ⊙ c_t)"),
    _h("state", "h-from-old-c", {"squashed": "c"}, "c_t", "h_t = o ⊙ tanh(c_{t-1})",
       "the old cell state is used"),
    _h("state", "h-from-candidate", {"squashed": "c_tilde"}, "c_t", "h_t = o ⊙ tanh(c̃)"),
    _h("state", "h-from-written", {"squashed": "written"}, "c_t", "h_t = o ⊙ tanh(i ⊙ c̃)"),
    _h("state", "h-from-kept", {"squashed": "kept"}, "c_t", "h_t = o ⊙ tanh(f ⊙ c_{t-1})"),
    _h("state", "h-from-h", {"squashed": "h"}, "c_t", "h_t = o ⊙ tanh(h_{t-1})"),
]  # fmt: skip


def _replaced() -> list[Change]:
    """A gate in another's place, and two that change places."""
    changes = []
    places: dict[Part, tuple[str, str, str]] = {
        "f": ("keep", "c_t", "f"),
        "i": ("write", "c_t", "i"),
        "c": ("candidate", "c_t", "c̃"),
        "o": ("out", "h_t", "o"),
    }
    for gate, (name, equation, term) in places.items():
        for other in GATES:
            if other != gate:
                value = "c_tilde" if other == "c" else other
                changes.append(
                    Change(
                        gate,
                        f"replaced-by-{other}",
                        {name: value},
                        equation,
                        term,
                        f"{LETTERS[other]} stands in the place of {LETTERS[gate]}: "
                        f"{LETTERS[gate]}'s own weights change nothing.",
                        f"Compute {LETTERS[gate]} from its own weights, and use it here.",
                    )
                )
    pairs: tuple[tuple[Part, Part, str, str], ...] = (("f", "c", "c_t", "f"), ("o", "c", "h_t", "o"))
    for first, second, equation, term in pairs:
        changes.append(
            Change(
                first,
                f"used-as-{second}",
                {"exchanged": first + second},
                equation,
                term,
                f"{LETTERS[first]} and {LETTERS[second]} have changed places after their activations.",
                _FIX_C + " " + _FIX_H,
            )
        )
    return changes


_RETURNS = [
    _returned("c-not-updated", {"stored": "c"}, "c_t",
              "The old cell state is handed back in place of the new one."),
    _returned("c-is-tanh-c", {"stored": "tanh-c'"}, "c_t", "tanh(c_t) is handed back as the cell state."),
    _returned("returns-h-twice", {"stored": "h'"}, "c_t",
              "h_t is handed back twice, the second time for c_t."),
    _returned("c-is-candidate", {"stored": "c_tilde"}, "c_t",
              "The candidate c̃ is handed back as the cell state."),
    _returned("c-is-kept", {"stored": "kept"}, "c_t", "f ⊙ c_{t-1} alone is handed back as the cell state."),
    _returned("c-is-written", {"stored": "written"}, "c_t", "i ⊙ c̃ alone is handed back as the cell state."),
    _returned("c-is-o-c", {"stored": "o*c'"}, "c_t", "o ⊙ c_t is handed back as the cell state."),
    _returned("c-is-old-h", {"stored": "h"}, "c_t", "h_{t-1} is handed back as the cell state."),
    _returned("h-not-updated", {"shown": "h"}, "h_t", "The old h is handed back in place of the new one."),
    _returned("returns-c-twice", {"shown": "c'"}, "h_t", "c_t is handed back twice, the first time for h_t."),
    _returned("h-is-o", {"shown": "o"}, "h_t", "The output gate itself is handed back as h."),
]  # fmt: skip


def _relabellings() -> list[Change]:
    changes = []
    for gate in GATES:
        letter = LETTERS[gate]
        used, kind = (f"-{letter}", "negated") if gate == "c" else (f"1 - {letter}", "complement")
        said = (
            f"{kind}: {used} is used in the place of {letter}; "
            f"with the sign of its weights and bias turned it is {letter}."
        )
        changes.append(
            Change(gate, kind, {"flipped": frozenset(gate)}, gate, letter, said, "", relabels=True)
        )
        for value in (1.0, -1.0, 2.0, 0.5):
            said = (
                f"offset: {value:+g} is added to the bias of {letter} inside the cell; "
                "the stored bias lacks it."
            )
            changes.append(
                Change(
                    gate, "offset", {"offsets": ((gate, value),)}, gate, f"b_{gate}", said, "", relabels=True
                )
            )
    return changes


RELABELLINGS: tuple[Change, ...] = tuple(_relabellings())
FAULTS: tuple[Change, ...] = (*_UPDATES, *_replaced(), *_RETURNS, *_activations())

_ACTIVATION = {(c.gate, name): c for c in FAULTS for g, name in c.fields.items() if g == c.gate}
UNIFORM: tuple[tuple[Change, ...], ...] = tuple(
    tuple(_ACTIVATION[gate, name] for gate in gates)
    for gates in (GATES[:3], GATES)
    for name in (*ACTIVATIONS, *COMPOSED)
    if all((gate, name) in _ACTIVATION for gate in gates)
)
"""One wrong activation on all three gates, or on the candidate as well: one slip, and a fault in each."""
