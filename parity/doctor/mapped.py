"""A cell held to a map: it must be the LSTM of the equations with the very parameters that the map names."""

from collections.abc import Mapping

from parity.doctor.bank import LETTERS, Change
from parity.doctor.findings import Part
from parity.doctor.layout import BLOCKS, Map, mapped
from parity.doctor.program import Array
from parity.doctor.reading import Reading
from parity.doctor.search import Explanation
from parity.doctor.structure import Finding

Places = dict[int, tuple[int, int]]
"""Single parameter → (unit, index of its operand)."""

_TERMS = {"W": "W_{g} h_{{t-1}}", "U": "U_{g} x_t", "b": "b_{g}"}


def against(entries: Map, reading: Reading, explanation: Explanation) -> list[Finding]:
    """What the map says otherwise than the cell does.

    Raises:
        UserError: the map names what the cell does not have.
    """
    wanted = mapped(entries, reading.shapes, reading.I, reading.H)
    used = {
        f"{letter}_{gate}": _used(reading, explanation, gate, kind)
        for gate in explanation.slots
        for letter, kind in BLOCKS.items()
    }
    found = [Finding(_strict(r)) for r in explanation.relabellings]
    for key, parts in wanted.items():
        letter, gate = key[0], next((g for g in explanation.slots if g == key[-1]), None)
        want = _places(parts)
        if gate is None or want == used[key]:
            continue
        found.append(Finding(_otherwise(key, letter, gate, want, used), reading.name_of(min(want))[0]))
    return found


def _used(reading: Reading, explanation: Explanation, gate: Part, kind: str) -> Places:
    states = ("first", "second") if explanation.h_in == 0 else ("second", "first")
    operand = states[0] if kind == "h" else kind
    slot = explanation.slots[gate]
    return {
        t.element: (t.unit, t.operand[1]) for t in reading.terms if t.slot == slot and t.operand[0] == operand
    }


def _places(parts: list[Array]) -> Places:
    return {
        int(part[unit, k] if part.ndim == 2 else part[unit]): (unit, k)
        for part in parts
        for unit in range(part.shape[0])
        for k in range(part.shape[1] if part.ndim == 2 else 1)
    }


def _strict(change: Change) -> Change:
    """A re-labelling is a fault where the labels are given."""
    said = change.explanation.split(": ", 1)[-1]
    fix = (
        f"Leave it away, or change the map: {LETTERS[change.gate]} is σ(W h + U x + b) "
        "of the parameters named."
    )
    term = "σ" if change.gate != "c" else "tanh"
    return Change(
        change.gate, change.kind, change.fields, change.equation, term, said[0].upper() + said[1:], fix
    )


def _otherwise(key: str, letter: str, gate: Part, want: Places, used: Mapping[str, Places]) -> Change:
    turned = {e: (k, unit) for e, (unit, k) in want.items()}
    elsewhere = next((k for k, places in used.items() if places == want), None)
    if letter == "W" and turned == used[key]:
        kind, said = "transposed", f"{key} of the map is used as its transpose."
    elif elsewhere:
        kind = f"feeds-{elsewhere[-1]}"
        said = f"{key} of the map feeds {LETTERS[elsewhere[-1]]}, as its {elsewhere[0]}."
    else:
        kind, said = "mapped-otherwise", f"{key} of the map is not what the cell uses as {key}."
    return Change(
        gate,
        kind,
        {},
        gate,
        _TERMS[letter].format(g=gate),
        said,
        f"Use the parameter that the map calls {key} there, or correct the map.",
    )
