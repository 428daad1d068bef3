"""What a cell may compute: the nine equations with every part replaceable, as plain NumPy.

A `Program` with its defaults is the LSTM of the equations. Each field is one place where students' cells go
another way, so that a fault is a changed field, and two faults are two.

    i = σ(z_i)   f = σ(z_f)   o = σ(z_o)   c̃ = tanh(z_c)          activations
    c_t = f ⊙ c_{t-1} + i ⊙ c̃                                       keep ⊙ carried + write ⊙ candidate
    h_t = o ⊙ tanh(c_t)                                             out ⊙ squash(squashed)

Sizes: B batch, H hidden units; leading axes (…) broadcast.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from parity.doctor.findings import Part

Array: TypeAlias = NDArray[Any]

GATES: tuple[Part, ...] = ("i", "f", "o", "c")


def sigmoid(z: Array) -> Array:
    """σ, without overflow at any z."""
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def softmax(z: Array, axis: int = -1) -> Array:
    """Over one axis, without overflow at any z."""
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "none": lambda z: z,
    "relu": lambda z: np.maximum(z, 0.0),
    "leaky-relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "hard-sigmoid": lambda z: np.clip(z / 6 + 0.5, 0.0, 1.0),  # torch.nn.Hardsigmoid, Keras 3
    "hard-sigmoid-0.2": lambda z: np.clip(0.2 * z + 0.5, 0.0, 1.0),  # Keras 1 and 2, Theano
    "hard-tanh": lambda z: np.clip(z, -1.0, 1.0),
    "softmax": softmax,
    "softmax-over-batch": lambda z: softmax(z, -2),
    "softplus": lambda z: np.logaddexp(0.0, z),
    "softsign": lambda z: z / (1.0 + np.abs(z)),
    "sin": np.sin,
    "exp": lambda z: np.exp(np.minimum(z, 50.0)),
}
COMPOSED = {
    "sigmoid-twice": ("sigmoid", "sigmoid"),
    "tanh-twice": ("tanh", "tanh"),
    "sigmoid-tanh": ("sigmoid", "tanh"),  # tanh(σ(z))
    "tanh-sigmoid": ("tanh", "sigmoid"),  # σ(tanh(z))
}


def activate(name: str, z: Array) -> Array:
    """An activation by its name."""
    for step in COMPOSED.get(name, (name,)):
        z = ACTIVATIONS[step](z)
    return z


@dataclass(frozen=True)
class Program:
    """One reading of what a cell's code does.

    Attributes:
        i, f, o, c: each gate's activation, a name of `ACTIVATIONS`.
        flipped: gates used as 1 − g, or −c̃.
        offsets: (gate, constant added to its pre-activation), in the order of the gates.
        exchanged: two gates that change places after their activation.
        keep: what multiplies the carried cell state: a gate, "1", "0", "1-i", "1-c".
        keep_op, write_op, out_op: "*", "+" or "-".
        carried: "c" (c_{t-1}), "h" (h_{t-1}) or "c_tilde".
        write: what multiplies the candidate: a gate, "1", "0", "1-f".
        candidate: "c_tilde", "1" or "h".
        join: between the two products: "+", "*", "mean".
        keep_all: the forget gate multiplies the whole sum.
        out: a gate, "1".
        squash: the activation of the cell state in h.
        squashed: "c'" (c_t), "c" (c_{t-1}), "c_tilde", "h", "written" (i ⊙ c̃), "kept" (f ⊙ c).
        outside: squash(o ⊙ c) in place of o ⊙ squash(c).
        stored: what is returned for c: "c'", "c", "tanh-c'", "h'", "c_tilde", "h", "kept", "written", "o*c'".
        shown: what is returned for h: "h'", "h", "c'", "o", "tanh-c'".
    """

    i: str = "sigmoid"
    f: str = "sigmoid"
    o: str = "sigmoid"
    c: str = "tanh"
    flipped: frozenset[str] = frozenset()
    offsets: tuple[tuple[str, float], ...] = ()
    exchanged: str = ""
    keep: str = "f"
    keep_op: str = "*"
    carried: str = "c"
    write: str = "i"
    write_op: str = "*"
    candidate: str = "c_tilde"
    join: str = "+"
    keep_all: bool = False
    out: str = "o"
    out_op: str = "*"
    squash: str = "tanh"
    squashed: str = "c'"
    outside: bool = False
    stored: str = "c'"
    shown: str = "h'"


RIGHT = Program()

OPERATIONS: dict[str, Callable[[Array, Array], Array]] = {
    "*": np.multiply,
    "+": np.add,
    "-": np.subtract,
    "mean": lambda a, b: 0.5 * (a + b),
}

Late: TypeAlias = Mapping[str, Callable[[Mapping[str, Array]], Array]]
"""Gate → what its pre-activation takes from values of this very step ("c'", "h'"), for cells that do so."""


class Step:
    """One evaluation of a program; a value is computed when it is first asked for.

    Args:
        z: gate → pre-activation [..., B, H].
        h, c: the states before, [..., B, H].
        late: see `Late`.
        frozen: values by name (a gate, "h", "c", "c'"), that stand in for what the program computes.
    """

    def __init__(
        self,
        program: Program,
        z: Mapping[str, Array],
        h: Array,
        c: Array,
        late: Late | None = None,
        frozen: Mapping[str, Array] | None = None,
    ) -> None:
        self.program, self.z, self.late = program, z, late or {}
        self._values: dict[str, Array] = {
            "h": h,
            "c": c,
            "1": np.ones(()),
            "0": np.zeros(()),
            **(frozen or {}),
        }
        self._open: set[str] = set()

    def __getitem__(self, name: str) -> Array:
        if name not in self._values:
            if name in self._open:
                raise Circular(name)
            self._open.add(name)
            self._values[name] = self._compute(name)
            self._open.discard(name)
        return self._values[name]

    def _compute(self, name: str) -> Array:
        p = self.program
        if name.startswith("gate "):
            return self._gate(name.removeprefix("gate "))
        if name.startswith("1-"):
            return 1.0 - self[name[2:]]
        if name in ("i", "f", "o", "c_tilde"):
            return self["gate " + self._role("c" if name == "c_tilde" else name)]
        if name == "kept":
            return OPERATIONS[p.keep_op](self[p.keep], self[p.carried])
        if name == "written":
            return OPERATIONS[p.write_op](self[p.write], self[p.candidate])
        if name == "c'":
            return self._new_c()
        if name == "h'":
            return self._new_h()
        if name == "tanh-c'":
            return np.tanh(self["c'"])
        if name == "o*c'":
            return self["o"] * self["c'"]
        raise KeyError(name)

    def _role(self, gate: str) -> str:
        pair = self.program.exchanged
        return pair[1 - pair.index(gate)] if gate in pair and pair else gate

    def _gate(self, gate: str) -> Array:
        p = self.program
        z = self.z[gate]
        if gate in self.late:
            z = z + self.late[gate](self)  # type: ignore[arg-type]
        for g, offset in p.offsets:
            if g == gate:
                z = z + offset
        a = activate(getattr(p, gate), z)
        if gate in p.flipped:
            return -a if gate == "c" else 1.0 - a
        return a

    def _new_c(self) -> Array:
        p = self.program
        if p.keep_all:
            return self[p.keep] * (self[p.carried] + self["written"])
        return OPERATIONS[p.join](self["kept"], self["written"])

    def _new_h(self) -> Array:
        p = self.program
        if p.outside:
            return activate(p.squash, OPERATIONS[p.out_op](self[p.out], self[p.squashed]))
        return OPERATIONS[p.out_op](self[p.out], activate(p.squash, self[p.squashed]))

    def result(self) -> tuple[Array, Array]:
        """What the cell returns for (h, c)."""
        return self[self.program.shown], self[self.program.stored]


class Circular(Exception):
    """A value that would need itself: no cell computes that."""


def run(
    program: Program, z: Mapping[str, Array], h: Array, c: Array, late: Late | None = None
) -> tuple[Array, Array]:
    """The (h, c) that a program returns, [..., B, H] each; the other arguments are those of `Step`.

    Raises:
        Circular: a gate takes a value of this step that needs the gate.
    """
    return Step(program, z, h, c, late).result()


class _Spy(Step):
    """A step that notes which gates are asked for."""

    asked: set[str]

    def _gate(self, gate: str) -> Array:
        self.asked.add(gate)
        return super()._gate(gate)


_ONE = np.ones((1, 1))


@cache
def uses(program: Program) -> tuple[Part, ...]:
    """The gates that a program's results depend on, in the order i, f, o, c."""
    spy = _Spy(program, dict.fromkeys(GATES, _ONE), _ONE, _ONE)
    spy.asked = set()
    spy.result()
    return tuple(g for g in GATES if g in spy.asked)
