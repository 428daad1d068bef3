"""Partial credit: the share of each part of the equations that is right, for graders."""

from collections import defaultdict
from collections.abc import Container, Iterable

from parity.doctor.findings import Fault
from parity.doctor.program import GATES

_GATE_MARKS = ("W", "U", "b", "activation", "place", "gradient")
"""What a gate must have right: its three terms, its activation, its place in c_t or h_t, its gradient."""
_STATE_MARKS = ("c_t", "h_t", "handed back", "conduct")
_CLASSIFIER_MARKS = ("start", "steps", "logits")


def credit(faults: Iterable[Fault], examined: Container[str]) -> dict[str, float]:
    """Part → the share of its marks that are right, in [0, 1].

    Args:
        faults: all that were found.
        examined: "cell", "classifier", "training": what these faults say all of; nothing else is credited.
    """
    marks: dict[str, int] = {}
    if "cell" in examined:
        marks |= {**dict.fromkeys(map(str, GATES), len(_GATE_MARKS)), "state": len(_STATE_MARKS)}
    if "classifier" in examined:
        marks["classifier"] = len(_CLASSIFIER_MARKS)
    if "training" in examined:
        marks["training"] = 1
    lost: dict[str, set[str]] = defaultdict(set)
    for fault in faults:
        lost[fault.gate] |= _marks(fault)
    return {part: round(1.0 - min(len(lost[part]) / n, 1.0), 3) for part, n in marks.items()}


def _marks(fault: Fault) -> set[str]:
    kind = fault.kind
    if fault.gate in GATES:
        return _of_gate(kind)
    if fault.gate == "state":
        if fault.equation.startswith("c_t"):
            return {"c_t"}
        if fault.equation.startswith("h_t ="):
            return {"h_t"}
        return {"conduct" if fault.term == "LSTM" or "detached" in kind else "handed back"}
    if fault.gate == "classifier":
        return {
            "start"
            if fault.equation.startswith("h_0")
            else "logits"
            if "logits" in fault.equation
            else "steps"
        }
    return {"step"}


def _of_gate(kind: str) -> set[str]:
    if kind.startswith("activation"):
        return {"activation"}
    if kind in ("detached", "unregistered"):
        return {"gradient"}
    if kind.startswith("weights-of"):
        return {"W", "U", "b"}
    if "recurrent" in kind or kind.startswith("sees"):
        return {"W"}
    if "input" in kind:
        return {"U"}
    return {"b"} if "bias" in kind else {"place"}
