"""What an examination finds: faults, warnings and a verdict, as plain data."""

from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["correct", "wrong", "unexamined"]
Part = Literal["i", "f", "o", "c", "state", "classifier", "training"]
"""Where a fault is: a gate, the candidate (c), the states, the classifier, the training step."""

PARTS: dict[Part, str] = {
    "i": "input gate",
    "f": "forget gate",
    "o": "output gate",
    "c": "candidate c̃",
    "state": "state",
    "classifier": "classifier",
    "training": "training step",
}


@dataclass(frozen=True)
class Counterexample:
    """One call that a person can check by hand, with a single hidden unit where that shows the fault.

    Attributes:
        given: name in the equations → value, scalars at H = I = 1: x, h, c and every W_g, U_g, b_g.
        working: the equations worked out with these numbers, line by line.
        quantity: what differs, in the equations' letters: "c_t", "h_t", "∂h_t/∂W_f", "logits".
        expected: what the equations give.
        got: what the student's code gave.
    """

    given: dict[str, float | list[float]]
    working: tuple[str, ...]
    quantity: str
    expected: float
    got: float


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        gate: where.
        kind: what, in a word: "activation-tanh", "no-bias".
        equation: the line of the equations that it breaks, "c_t = f ⊙ c_{t-1} + i ⊙ c̃".
        term: the part of that line that is wrong, "i ⊙ c̃"; it stands in `equation` exactly once.
        parameter: the name in the student's code; None where no parameter is concerned.
        line: of the student's file, from 1; None where the source does not show it.
        explanation: what the code does, in words.
        fix: what to write instead, in words.
        counterexample: None where no single call shows it.
    """

    gate: Part
    kind: str
    equation: str
    term: str
    parameter: str | None
    line: int | None
    explanation: str
    fix: str
    counterexample: Counterexample | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What is said of one file.

    Attributes:
        file: as it was given.
        object: the name examined in it; None where none was found.
        framework: "torch", "jax", "numpy", or None.
        verdict: correct: within rounding of the equations, for all probes. wrong: not so. unexamined: the
            code could not be run, or is not a cell.
        reason: why it could not be examined, and what to do; None for the other verdicts.
        line: of the student's file that stopped the examination; None where unknown.
        warnings: what is right as a function but not as it is named or laid out.
        faults: what is wrong, as far as it is explained.
        explained: whether `faults` account for all that is wrong.
        unexplained: the smallest counter-example of what they do not account for; None where none was found.
        leaves_at: the part where that first leaves the equations; None where this is unclear.
        credit: part → share in [0, 1] of it that is right, for a grader; only parts that are explained.
        probes: how many random inputs were compared with the equations, or with the faults named.
        seed: of the probes.
        printed: what the student's code wrote to stdout and stderr, at most some kilobytes.
        seconds: of the examination, imports excluded.
    """

    file: str
    object: str | None
    framework: str | None
    verdict: Verdict
    reason: str | None = None
    line: int | None = None
    warnings: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    explained: bool = True
    unexplained: Counterexample | None = None
    leaves_at: Part | None = None
    credit: dict[str, float] = field(default_factory=dict)
    probes: int = 0
    seed: int = 0
    printed: str = ""
    seconds: float = 0.0

    @property
    def exit_status(self) -> int:
        """0 correct, 1 wrong, 2 could not be examined."""
        return {"correct": 0, "wrong": 1, "unexamined": 2}[self.verdict]
