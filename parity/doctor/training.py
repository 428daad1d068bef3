"""The examination of a training step: gradient of the mean cross entropy, once per step, on the parameters.

What the step hands to its optimiser is compared with the gradient that the file's own classifier has there.

Sizes: B images, T time steps, I inputs, C classes.
"""

from collections.abc import Callable

import numpy as np

from parity.doctor.bank import Change
from parity.doctor.program import Array, softmax
from parity.doctor.subject import Subject, Target

I, H, C = 2, 3, 5  # noqa: E741
BATCH, STEPS = 6, 4
TAKEN = 2
RATE = 0.1
STEP = "θ ← θ - η ∇L(θ), L = cross entropy of the logits"
TOLERANCE = 1e-6


def _training(kind: str, term: str, explanation: str, fix: str) -> Change:
    return Change("training", kind, {}, STEP, term, explanation, fix)


NO_STEP = _training(
    "no-step", "θ - η ∇L(θ)", "The parameters stay as they are: the new ones are never set, or are dropped.",
    "Call optimizer.step() after backward(), or hand the updated parameters back.",
)  # fmt: skip
NO_BACKWARD = _training(
    "no-backward", "∇L(θ)",
    "No gradient reaches the parameters: the loss is cut off from them, or backward() is not called.",
    "Call loss.backward() on the loss itself, without detach() or item() before it.",
)  # fmt: skip
LATE = _training(
    "zero-grad-too-late", "∇L(θ)",
    "The gradients are cleared after backward() and before step(), so that nothing is left to step along.",
    "The order is zero_grad(), backward(), step().",
)  # fmt: skip
NO_ZERO = _training(
    "no-zero-grad", "∇L(θ)", "The gradients of all steps so far are added up: only the first step is right.",
    "Call optimizer.zero_grad() in every step, before backward().",
)  # fmt: skip
EVAL = _training(
    "eval-mode",
    "∇L(θ)",
    "The model trains in eval mode, without its dropout.",
    "Call model.train() before the step.",
)
DROPPED = _training(
    "optimizer-state-dropped", "η",
    "The optimiser's new state is not handed back: its momentum and its count begin anew in every step.",
    "Return the state that optimizer.update gave.",
)  # fmt: skip
SOFTMAX = _training(
    "softmax-before-loss", "cross entropy",
    "softmax comes before a cross entropy that has its own: the gradient is that of a flatter loss.",
    "Give the logits themselves to the loss.",
)  # fmt: skip
LABELS = _training(
    "loss-of-wrong-labels", "cross entropy",
    "The loss is taken against other labels than those of the images.",
    "Use each image's own label, from 0 to C - 1.",
)  # fmt: skip
NLL = _training(
    "no-log-softmax",
    "cross entropy",
    "The loss takes the logits for log-probabilities: there is no softmax at all.",
    "Use cross_entropy, or give log_softmax(logits) to nll_loss.",
)
SUMMED = _training(
    "summed-loss", "L", "The loss is summed over the batch, not averaged.", "Take the mean over the batch."
)
UNLIKE = _training(
    "gradient", "∇L(θ)",
    "What the optimiser is given is not the gradient of the cross entropy; nothing in the bank explains it.",
    "Compare it with the gradient of cross_entropy(model(x), y).",
)  # fmt: skip


ASCENT = _training(
    "gradient-ascent", "-",
    "The parameters move along the gradient and not against it: the loss grows.",
    "Subtract η times the gradient; optax.apply_updates adds what the optimiser has negated already.",
)  # fmt: skip
MOVE = _training(
    "other-move", "θ - η ∇L(θ)",
    "The parameters do not move by what the optimiser gives: they move by something else, or more than once.",
    "Apply the optimiser's update as it is, once, to all parameters.",
)  # fmt: skip


def _mean(logits: Array, labels: Array) -> Array:
    """d(mean cross entropy)/d(logits), [B, C]."""
    return (softmax(logits) - np.eye(C)[labels]) / len(labels)


def _after_softmax(logits: Array, labels: Array) -> Array:
    p = softmax(logits)
    d = _mean(p, labels)
    return p * (d - (d * p).sum(-1, keepdims=True))


def _shifted(by: int) -> Callable[[Array, Array], Array]:
    """Labels moved by so many classes; those that leave the classes have no one-hot row."""

    def gradient(logits: Array, labels: Array) -> Array:
        moved = labels + by
        one_hot = np.eye(C)[moved % C] * ((moved >= 0) & (moved < C))[:, None]
        return (softmax(logits) * one_hot.sum(-1, keepdims=True) - one_hot) / len(labels)

    return gradient


LOSSES: tuple[tuple[Change, Callable[[Array, Array], Array]], ...] = (
    (SOFTMAX, _after_softmax),
    (LABELS, _shifted(-1)),
    (LABELS, _shifted(1)),
    (LABELS, lambda z, y: _mean(z, y[::-1])),
    (LABELS, lambda z, y: _mean(z, np.roll(y, 1))),
    (LABELS, lambda z, y: _mean(z, np.roll(y, -1))),
    (LABELS, lambda z, y: _mean(z, np.zeros_like(y))),
    (NLL, lambda z, y: -np.eye(C)[y] / len(y)),
    (SUMMED, lambda z, y: len(y) * _mean(z, y)),
)


def examine(subject: Subject, classifier: Target, rng: np.random.Generator) -> list[Change]:
    """What is wrong with the training step of a file whose classifier has been examined.

    Raises:
        CallFailed, Unexamined: as `Subject.train_step`.
    """
    shapes = subject.build(classifier, I, H, C)
    start = {n: rng.normal(0.0, 0.7, s) for n, s in shapes.items()}
    x = rng.normal(0.0, 1.0, (BATCH, STEPS, I))
    labels = np.array([0, 1, 2, 3, 4, 2])
    taken = subject.train_step(start, x, labels, TAKEN, RATE)
    found = []
    if taken[0].in_eval_mode:
        found.append(EVAL)
    if any(s.state_dropped for s in taken):
        found.append(DROPPED)
    before = [start, *(s.parameters for s in taken[:-1])]
    if all(_same(b, s.parameters) for b, s in zip(before, taken, strict=True)):
        return [*found, _why_still(taken[0].events)]
    subject.build(classifier, I, H, C)
    moves = [{n: s.parameters[n] - b[n] for n in s.parameters} for b, s in zip(before, taken, strict=True)]
    if any(s.gradients is None for s in taken):
        return found + _of_moves(subject, before, moves, x, labels)
    given = [s.gradients or {} for s in taken]
    wrong = _of_gradients(subject, before, given, x, labels)
    if wrong == [UNLIKE] and "dropout" in subject.source:
        return found  # by a function, which cannot be switched off
    return found + wrong + _of_steps(moves, given)


def _of_steps(moves: list[dict[str, Array]], given: list[dict[str, Array]]) -> list[Change]:
    """What is wrong with how the parameters move by what the optimiser, a plain one, was given."""

    def moved(factor: float) -> bool:
        return all(
            np.allclose(m[n], factor * RATE * g.get(n, 0.0), rtol=TOLERANCE, atol=TOLERANCE * 0.1)
            for m, g in zip(moves, given, strict=True)
            for n in m
        )

    if moved(-1.0):
        return []
    return [ASCENT] if moved(1.0) else [MOVE]


def _of_moves(
    subject: Subject, before: list[dict[str, Array]], moves: list[dict[str, Array]], x: Array, labels: Array
) -> list[Change]:
    """The same of a step without an optimiser that is handed in, of which the rate is not known."""
    steps = []
    for at, move in zip(before, moves, strict=True):
        logits = subject.classify({n: a[None] for n, a in at.items()}, x[None])[0]
        true = subject.classifier_gradients(at, x, _mean(logits, labels)) or {}
        known = [(g, move[n]) for n, g in true.items() if g is not None and n in move]
        along, size = (
            sum(float((g * m).sum()) for g, m in pairs) for pairs in (known, [(g, g) for g, _ in known])
        )
        steps.append(along / max(size, 1e-300))
    if not all(steps):
        return []
    given = [{n: m / k for n, m in move.items()} for move, k in zip(moves, steps, strict=True)]
    if _of_gradients(subject, before, given, x, labels):
        return []  # an optimiser of its own, perhaps
    return [ASCENT] if steps[0] > 0 else []


def _same(a: dict[str, Array], b: dict[str, Array]) -> bool:
    return all(np.array_equal(a[n], b[n]) for n in b)


def _why_still(events: tuple[str, ...]) -> Change:
    """Why no parameter moves, from the order of what was called."""
    if "backward" not in events and "step" in events:
        return NO_BACKWARD
    if "step" not in events:
        return NO_STEP
    back = events.index("backward")
    return (
        LATE
        if "zero_grad" in events[back : events.index("step", back) if "step" in events[back:] else None]
        else NO_STEP
    )


def _of_gradients(
    subject: Subject, before: list[dict[str, Array]], given: list[dict[str, Array]], x: Array, labels: Array
) -> list[Change]:
    """Compare what each step's optimiser was given with the gradients at the parameters before it."""

    stacked = {n: np.stack([at[n] for at in before]) for n in before[0]}
    logits = subject.classify(stacked, x[None])

    def true(step: int, loss: Callable[[Array, Array], Array]) -> dict[str, Array]:
        at = before[step]
        found = subject.classifier_gradients(at, x, loss(logits[step], labels)) or {}
        return {n: np.zeros_like(a) if (g := found.get(n)) is None else g for n, a in at.items()}

    def explains(loss: Callable[[Array, Array], Array], piled: bool) -> bool:
        total = {n: np.zeros_like(a) for n, a in before[0].items()}
        for step, got in enumerate(given):
            want = true(step, loss)
            total = {n: total[n] + want[n] for n in want} if piled else want
            if not all(
                np.allclose(got.get(n, 0.0), total[n], rtol=TOLERANCE, atol=TOLERANCE * 0.1) for n in total
            ):
                return False
        return True

    for piled, faults in ((False, []), (True, [NO_ZERO])):
        if explains(_mean, piled):
            return faults
        for change, loss in LOSSES:
            if explains(loss, piled):
                return [*faults, change]
    return [UNLIKE]
