"""What training steps do wrong, and the gradients of the losses that students take for the cross entropy."""

from collections.abc import Callable

import numpy as np

from parity.doctor.bank import Change
from parity.doctor.program import Array, softmax

STEP = "θ ← θ - η ∇L(θ), L = cross entropy of the logits"


def _training(kind: str, term: str, explanation: str, fix: str) -> Change:
    assert STEP.count(term) == 1
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
    "The model is in eval mode, in which dropout is off, when the logits of the loss are computed.",
    "Call model.train() before the step.",
)
DROPPED = _training(
    "optimizer-state-dropped", "η",
    "The optimiser's new state is not handed back: its momentum and its count begin anew in every step.",
    "Return the state that optimizer.update gave.",
)  # fmt: skip
ANEW = _training(
    "optimizer-made-anew", "η",
    "An optimiser is made anew in every step: its momentum and its averages begin from nothing.",
    "Make the optimiser once, before the loop, and hand it to the step.",
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
    "summed-loss",
    "L = cross entropy",
    "The loss is summed over the batch, not averaged.",
    "Take the mean over the batch.",
)
UNLIKE = _training(
    "gradient", "∇L(θ)",
    "What the optimiser is given is not the gradient of the cross entropy; nothing in the bank explains it.",
    "Compare it with the gradient of cross_entropy(model(x), y).",
)  # fmt: skip
ASCENT = _training(
    "gradient-ascent", "-",
    "The parameters move along the gradient and not against it: the loss grows.",
    "Subtract η times the gradient of the loss, and not of its negative; optax.apply_updates adds what the "
    "optimiser has negated already.",
)  # fmt: skip


def scaled(factor: float) -> Change:
    """The gradient of the mean cross entropy, times a factor."""
    return _training(
        "scaled-loss", "L = cross entropy",
        f"The loss is {factor:.4g} times the mean cross entropy, and so is its gradient.",
        "Take the mean over the batch once, and no factor besides.",
    )  # fmt: skip


MOVE = _training(
    "other-move", "θ - η ∇L(θ)",
    "Parameters do not move as the optimiser says: by something else, more than once, or some not at all.",
    "Apply the optimiser's update as it is, once, to all parameters.",
)  # fmt: skip


Loss = Callable[[Array, Array], Array]
"""From logits [B, C] and labels [B] to the gradient by the logits [B, C]."""


def _one_hot(logits: Array, labels: Array) -> Array:
    """[B, C]; zeros for a label that is no class."""
    return np.equal(labels[:, None], np.arange(logits.shape[-1])).astype(float)


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Of the mean cross entropy; an image whose label is no class adds nothing to it."""
    one_hot = _one_hot(logits, labels)
    return (softmax(logits) * one_hot.sum(-1, keepdims=True) - one_hot) / len(labels)


def _after_softmax(logits: Array, labels: Array) -> Array:
    p = softmax(logits)
    d = cross_entropy(p, labels)
    return p * (d - (d * p).sum(-1, keepdims=True))


LOSSES: tuple[tuple[Change, Loss], ...] = (
    (SOFTMAX, _after_softmax),
    (LABELS, lambda z, y: cross_entropy(z, y - 1)),
    (LABELS, lambda z, y: cross_entropy(z, y + 1)),
    (LABELS, lambda z, y: cross_entropy(z, y[::-1])),
    (LABELS, lambda z, y: cross_entropy(z, np.roll(y, 1))),
    (LABELS, lambda z, y: cross_entropy(z, np.roll(y, -1))),
    (LABELS, lambda z, y: cross_entropy(z, np.zeros_like(y))),
    (NLL, lambda z, y: -_one_hot(z, y) / len(y)),
    (SUMMED, lambda z, y: len(y) * cross_entropy(z, y)),
)
"""What is taken for the cross entropy, and what that is called."""
