"""The examination of a training step: gradient of the mean cross entropy, once per step, on the parameters.

What the step hands to its optimiser is compared with the gradient that the file's own classifier has there.

Sizes: N steps, B images, T time steps, I inputs, C classes.
"""

import numpy as np

from parity.doctor import training_bank as bank
from parity.doctor.bank import Change
from parity.doctor.program import Array
from parity.doctor.subject import Subject, Target, TrainStep

H, C = 3, 5
BATCH = 6
TAKEN = 2
RATE = 0.1
TOLERANCE = 1e-5
"""Relative; what clips a norm adds 1e-6 to it."""
EQUAL = 1e-3
"""Relative, of the sizes of what an Adam moves in its first step: its ε and a weight decay leave less."""

Parameters = dict[str, Array]


class TrainingDoctor:
    """A training step under examination.

    Args:
        subject: the file's process.
        classifier: of the file, examined before.
        image: the time steps and inputs that it takes.
        seed: of the numbers.

    Attributes:
        changes: what is wrong with it.
        left: why some of it was not examined.
    """

    def __init__(self, subject: Subject, classifier: Target, image: tuple[int, int], seed: int) -> None:
        self.subject, self.classifier, self.image = subject, classifier, image
        self.rng = np.random.default_rng(seed + 2)
        self.changes: list[Change] = []
        self.left: list[str] = []

    def examine(self) -> None:
        """Take some steps, and look at each.

        Raises:
            CallFailed, Unexamined: as `Subject.train_step`.
        """
        T, I = self.image  # noqa: E741
        shapes = self.subject.build(self.classifier, I, H, C)
        start = {n: self.rng.normal(0.0, 0.7, s) for n, s in shapes.items()}
        x = self.rng.normal(0.0, 1.0, (BATCH, T, I))
        labels = np.array([0, 1, 2, 3, 4, 2])
        taken = self.subject.train_step(start, x, labels, TAKEN, RATE)
        if any(s.in_eval_mode for s in taken):
            self.changes.append(bank.EVAL)
        before = [start, *(s.parameters for s in taken[:-1])]
        moves = [{n: s.parameters[n] - b[n] for n in b} for b, s in zip(before, taken, strict=True)]
        if not any(m.any() for move in moves for m in move.values()):
            self.changes.append(_why_still(taken[0]))
            return
        if any(s.state_anew for s in taken):
            self.changes.append(bank.ANEW)
        if any(s.state_dropped for s in taken):
            self.changes.append(bank.DROPPED)
        truth = Truth(self.subject, before, x, labels)
        given = [s.gradients for s in taken if s.gradients is not None]
        if len(given) < len(taken):
            self._of_moves(truth, moves)
            return
        wrong = truth.differences(given)
        if wrong == [bank.UNLIKE] and self._draws(start, x, labels, taken[0].own_optimizer):
            self.left.append("it draws random numbers that cannot be switched off")
            return
        self.changes += wrong
        if not taken[0].own_optimizer:
            self.changes += _of_steps(moves, given)
        elif any(
            g.any() and not move[n].any()
            for step, move in enumerate(moves)
            for n, g in truth.gradients(step).items()
        ):
            self.changes.append(bank.MOVE)

    def _draws(self, start: Parameters, x: Array, labels: Array, own_optimizer: bool) -> bool:
        """Whether the gradients are other ones at the same parameters, and do not merely pile up."""
        if own_optimizer:  # which moves the parameters at a rate of its own
            return "dropout" in self.subject.source
        once, twice = (s.gradients for s in self.subject.train_step(start, x, labels, 2, 0.0))
        if once is None or twice is None:
            return False
        return not any(all(_near(twice[n], factor * once[n]) for n in once) for factor in (1.0, 2.0))

    def _of_moves(self, truth: "Truth", moves: list[Parameters]) -> None:
        """What is wrong with a step whose optimiser is not seen: how far the parameters move is not known."""
        factors = [
            _dot(truth.gradients(step), move)
            / max(_dot(truth.gradients(step), truth.gradients(step)), 1e-300)
            for step, move in enumerate(moves)
        ]
        if all(factors):
            scaled = [{n: m / k for n, m in move.items()} for move, k in zip(moves, factors, strict=True)]
            if not truth.differences(scaled):
                self.changes += [bank.ASCENT] if factors[0] > 0 else []
                return
        if bank.ANEW in self.changes or bank.DROPPED in self.changes:
            return
        if all(_first_of_adam(move, truth.gradients(step)) for step, move in enumerate(moves)):
            self.changes.append(bank.ANEW)
        else:
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
            found = self._subject.classifier_gradients(at, self._x, by_logits)
            by_name = found.parameters if found else {}
            self._known[step, loss] = {
                n: np.zeros_like(a) if (g := by_name.get(n)) is None else g for n, a in at.items()
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
        factor = self._factor(given)
        if factor is None:
            return [bank.UNLIKE]
        return [bank.ASCENT if abs(factor + 1.0) < TOLERANCE else bank.scaled(factor)]

    def _factor(self, given: list[Parameters]) -> float | None:
        """By what these are multiplied to be what each step's optimiser was given; None: by no one factor."""
        wanted = [{n: a for n, a in self.gradients(k).items() if n in got} for k, got in enumerate(given)]
        factor = _dot(wanted[0], given[0]) / max(_dot(wanted[0], wanted[0]), 1e-300)
        same = all(
            _near(factor * want[n], got[n]) for want, got in zip(wanted, given, strict=True) for n in got
        )
        return factor if factor and same else None

    def _explains(self, loss: bank.Loss, given: list[Parameters], piled: bool) -> bool:
        """Whether they are those of a loss, of each step alone or of all steps so far; or these, clipped."""
        total = {n: np.zeros_like(a) for n, a in self._before[0].items()}
        wanted = []
        for step, got in enumerate(given):
            want = self.gradients(step, loss)
            total = {n: total[n] + want[n] for n in want} if piled else want
            wanted.append({n: total[n] for n in got})
        return any(
            all(
                _near(clipped(want, given)[n], got[n])
                for want, got in zip(wanted, given, strict=True)
                for n in got
            )
            for clipped in (_unclipped, _by_norm, _by_value)
        )


def _unclipped(gradients: Parameters, _: list[Parameters]) -> Parameters:
    return gradients


def _by_norm(gradients: Parameters, given: list[Parameters]) -> Parameters:
    """Clipped to the largest norm that was given in any step."""
    limit = max(np.sqrt(_dot(g, g)) for g in given)
    factor = min(1.0, limit / max(np.sqrt(_dot(gradients, gradients)), 1e-300))
    return {n: factor * g for n, g in gradients.items()}


def _by_value(gradients: Parameters, given: list[Parameters]) -> Parameters:
    """Clipped to the largest value that was given in any step."""
    limit = max(np.abs(a).max() for g in given for a in g.values())
    return {n: np.clip(g, -limit, limit) for n, g in gradients.items()}


def _dot(a: Parameters, b: Parameters) -> float:
    return float(sum((a[n] * b[n]).sum() for n in a))


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


def _why_still(taken: TrainStep) -> Change:
    """Why no parameter moves."""
    if not taken.gradients or any(g.any() for g in taken.gradients.values()):
        return bank.NO_STEP
    if "backward" not in taken.events:
        return bank.NO_BACKWARD
    return bank.LATE if taken.events.index("backward") < taken.events.index("step") else bank.NO_STEP
