"""The examination of a training step: gradient of the mean cross entropy, once per step, on the parameters.

What the step hands to its optimiser is compared with the gradient that the file's own classifier has there.

Sizes: N steps, B images, T time steps, I inputs, C classes.
"""

import numpy as np

from parity.doctor import training_bank as bank
from parity.doctor.bank import Change
from parity.doctor.program import Array
from parity.doctor.subject import Subject, Target

I, H, C = 2, 3, 5  # noqa: E741
BATCH, STEPS = 6, 4
TAKEN = 2
RATE = 0.1
TOLERANCE = 1e-6
EQUAL = 1e-3
"""Relative, of the sizes of what an Adam moves in its first step: its ε and a weight decay leave less."""

Parameters = dict[str, Array]


class TrainingDoctor:
    """A training step under examination.

    Args:
        subject: the file's process.
        classifier: of the file, examined before.
        seed: of the numbers.

    Attributes:
        changes: what is wrong with it.
        left: why some of it was not examined.
    """

    def __init__(self, subject: Subject, classifier: Target, seed: int) -> None:
        self.subject, self.classifier = subject, classifier
        self.rng = np.random.default_rng(seed)
        self.changes: list[Change] = []
        self.left: list[str] = []

    def examine(self) -> None:
        """Take some steps, and look at each.

        Raises:
            CallFailed, Unexamined: as `Subject.train_step`.
        """
        shapes = self.subject.build(self.classifier, I, H, C)
        start = {n: self.rng.normal(0.0, 0.7, s) for n, s in shapes.items()}
        x = self.rng.normal(0.0, 1.0, (BATCH, STEPS, I))
        labels = np.array([0, 1, 2, 3, 4, 2])
        taken = self.subject.train_step(start, x, labels, TAKEN, RATE)
        if taken[0].in_eval_mode:
            self.changes.append(bank.EVAL)
        if any(s.state_dropped for s in taken):
            self.changes.append(bank.ANEW if taken[0].own_optimizer else bank.DROPPED)
        before = [start, *(s.parameters for s in taken[:-1])]
        moves = [{n: s.parameters[n] - b[n] for n in b} for b, s in zip(before, taken, strict=True)]
        if not any(m.any() for move in moves for m in move.values()):
            self.changes.append(_why_still(taken[0].events))
            return
        self.subject.build(self.classifier, I, H, C)
        truth = Truth(self.subject, before, x, labels)
        given = [s.gradients for s in taken if s.gradients is not None]
        if len(given) < len(taken):
            self._of_moves(truth, moves)
            return
        wrong = truth.differences(given)
        if wrong == [bank.UNLIKE] and "dropout" in self.subject.source:
            self.left.append("its dropout, by a function, cannot be switched off")
            return
        self.changes += wrong
        if not taken[0].own_optimizer:
            self.changes += _of_steps(moves, given)
        elif any(
            g.any() and not move[n].any()
            for k, move in enumerate(moves)
            for n, g in truth.gradients(k).items()
        ):
            self.changes.append(bank.MOVE)

    def _of_moves(self, truth: "Truth", moves: list[Parameters]) -> None:
        """What is wrong with a step whose optimiser is not seen: how far the parameters move is not known."""
        steps = []
        for n, move in enumerate(moves):
            true = truth.gradients(n)
            along, size = (sum(float((g * a[k]).sum()) for k, g in true.items()) for a in (move, true))
            steps.append(along / max(size, 1e-300))
        scaled = [{n: m / k for n, m in move.items()} for move, k in zip(moves, steps, strict=True) if k]
        if len(scaled) == len(moves) and not truth.differences(scaled):
            self.changes += [bank.ASCENT] if steps[0] > 0 else []
        elif all(_first_of_adam(move, truth.gradients(n)) for n, move in enumerate(moves)):
            self.changes += [bank.ANEW] if bank.DROPPED not in self.changes else []
        elif bank.DROPPED not in self.changes:
            self.left.append("its parameters move by an optimiser that is not handed to it")


class Truth:
    """The logits and gradients that the file's own classifier has at the parameters before each step.

    Args:
        subject: with the classifier built.
        before: the parameters before each step.
        x: [B, T, I].
        labels: [B].
    """

    def __init__(self, subject: Subject, before: list[Parameters], x: Array, labels: Array) -> None:
        self._subject, self._before, self._x, self._labels = subject, before, x, labels
        stacked = {n: np.stack([at[n] for at in before]) for n in before[0]}
        self._logits = subject.classify(stacked, x[None])
        self._known: dict[tuple[int, bank.Loss], Parameters] = {}

    def gradients(self, step: int, loss: bank.Loss = bank.cross_entropy) -> Parameters:
        """Of a loss by all parameters, before that step."""
        if (step, loss) not in self._known:
            at = self._before[step]
            by_logits = loss(self._logits[step], self._labels)
            found = self._subject.classifier_gradients(at, self._x, by_logits) or {}
            self._known[step, loss] = {
                n: np.zeros_like(a) if (g := found.get(n)) is None else g for n, a in at.items()
            }
        return self._known[step, loss]

    def differences(self, given: list[Parameters]) -> list[Change]:
        """What makes the gradients that each step's optimiser was given others than these."""
        for piled, faults in ((False, []), (True, [bank.NO_ZERO])):
            if self._explains(bank.cross_entropy, given, piled):
                return faults
            for change, loss in bank.LOSSES:
                if self._explains(loss, given, piled):
                    return [*faults, change]
        return [bank.UNLIKE]

    def _explains(self, loss: bank.Loss, given: list[Parameters], piled: bool) -> bool:
        """Whether they are those of a loss, of each step alone or of all steps so far."""
        total = {n: np.zeros_like(a) for n, a in self._before[0].items()}
        for step, got in enumerate(given):
            want = self.gradients(step, loss)
            total = {n: total[n] + want[n] for n in want} if piled else want
            if not all(_near(got[n], total[n]) for n in got):
                return False
        return True


def _near(a: Array, b: Array) -> bool:
    return np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE * 0.1)


def _of_steps(moves: list[Parameters], given: list[Parameters]) -> list[Change]:
    """What is wrong with how the parameters move by what the optimiser, a plain one, was given."""

    def moved(factor: float) -> bool:
        pairs = zip(moves, given, strict=True)
        return all(_near(move[n], factor * RATE * g[n]) for move, g in pairs for n in g)

    if moved(-1.0):
        return []
    return [bank.ASCENT] if moved(1.0) else [bank.MOVE]


def _first_of_adam(move: Parameters, gradients: Parameters) -> bool:
    """Whether all parameters move equally far against their gradients: an Adam does so in its first step."""
    m, g = (np.concatenate([a[n].ravel() for n in gradients]) for a in (move, gradients))
    m, g = m[g != 0.0], g[g != 0.0]
    alike = np.abs(np.abs(m) - np.median(np.abs(m))) <= EQUAL * np.abs(m)
    return bool(alike.mean() > 0.9 and (np.sign(m) == -np.sign(g)).all())


def _why_still(events: tuple[str, ...]) -> Change:
    """Why no parameter moves, from the order of what was called."""
    if "backward" not in events and "step" in events:
        return bank.NO_BACKWARD
    if "step" not in events:
        return bank.NO_STEP
    back = events.index("backward")
    end = events.index("step", back) if "step" in events[back:] else None
    return bank.LATE if "zero_grad" in events[back:end] else bank.NO_STEP
