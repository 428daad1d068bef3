"""A constructor or an init function called with sizes."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from parity.doctor.sandbox import roles
from parity.doctor.sandbox.errors import Failed
from parity.doctor.sandbox.roles import Slot

CELL = ("I", "H")
ALL = ("I", "H", "C", "layers")
_OTHERS = {
    "device": "cpu",
    "dropout": 0.0,
    "bias": True,
    "batch_first": True,
    "T": 28,
    "batch": 5,
    "scale": 0.1,
}


@dataclass(frozen=True)
class Sizes:
    """Of an instance; `drawn`: its parameters must be those that its init function draws, not zeros."""

    I: int  # noqa: E741
    H: int
    C: int = 4
    layers: int = 1
    seed: int = 0
    drawn: bool = False


def size_slots(function: Callable[..., Any], order: Sequence[str], *, name: str) -> tuple[Slot, ...]:
    """The roles of the arguments with which an instance is made.

    Raises:
        Failed: an argument is no size.
    """
    parameters = roles.arguments(function)
    if parameters is None:
        raise Failed(
            f"Python cannot tell the arguments of {name}: it is expected as {name}(input_size, hidden_size)"
        )
    wanted = ", ".join(
        {"I": "input_size", "H": "hidden_size", "C": "num_classes"}.get(o, "") for o in order[:3]
    )
    try:
        found = roles.of_sizes(parameters, order)
    except ValueError as error:
        raise Failed(
            f"{name} needs an argument `{error}`, which is no size: {name}({wanted}) is expected"
        ) from None
    needed = {p.name for p in roles.required(parameters)}
    kept = [slot for slot in found if slot.name in needed or slot.role in (*order, "batch_first")]
    if missing := {"I", "H"} - {slot.role for slot in kept}:
        size = " and ".join({"I": "input_size", "H": "hidden_size"}[m] for m in sorted(missing, reverse=True))
        raise Failed(
            f"{name} takes no {size}: it is expected as {name}({wanted}), so that it can be made in any size"
        )
    return tuple(Slot(s.name, s.role, s.keyword or _after_gap(s, kept, parameters)) for s in kept)


def _after_gap(slot: Slot, kept: Sequence[Slot], parameters: Sequence[Any]) -> bool:
    names = [p.name for p in parameters]
    before = names[: names.index(slot.name)]
    return not set(before) <= {s.name for s in kept}


def called(
    function: Callable[..., Any], slots: Sequence[Slot], sizes: Sizes, key: Callable[[int], Any]
) -> Any:
    """What the constructor or init function makes at these sizes.

    Args:
        key: of a seed, as the framework's init functions want it.
    """
    values: dict[str, Any] = asdict(sizes) | _OTHERS
    values |= {"key": key(sizes.seed), "rng": key(sizes.seed), "dtype": np.float32}
    given = [values[slot.role] for slot in slots if not slot.keyword]
    return function(*given, **{slot.name: values[slot.role] for slot in slots if slot.keyword})
