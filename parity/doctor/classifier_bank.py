"""What classifiers do wrong around their cell, and what each is called."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

from parity.doctor.bank import Change
from parity.doctor.unrolling import Unrolling

UNROLL = "h_t, c_t = LSTM(x_t, h_{t-1}, c_{t-1}), t = 1 … T"
START = "h_0 = c_0 = 0"
LOGITS = "logits = W_out h_T + b_out"


def _change(
    kind: str, fields: Mapping[str, Any], equation: str, term: str, explanation: str, fix: str
) -> Change:
    return Change("classifier", kind, fields, equation, term, explanation, fix)


_READ = {
    "first": ("first-h", "the h of the first step is read, so that the later ones do not count"),
    "second last": ("wrong-step", "the last step does not count: the h before it is read"),
    "mean": ("mean-h", "the mean of all h is read, not the last"),
    "sum": ("sum-h", "the sum of all h is read, not the last"),
    "max": ("max-h", "the largest h of all steps is read, not the last"),
    "c": ("c-to-output", "the cell state c_T goes to the output layer, not h_T"),
}
_SOFTMAX = _change(
    "softmax", {"after": "softmax"}, LOGITS, "logits",
    "softmax is applied to the logits; the cross entropy applies it once more.",
    "Return the logits themselves.",
)  # fmt: skip
CHANGES: tuple[Change, ...] = (
    *(
        _change("start-state", {"start": start}, START, "= 0", said, "Start from zeros.")
        for start, said in (
            ("ones", "The states start from ones."),
            ("h ones", "h starts from ones."),
            ("c ones", "c starts from ones."),
        )
    ),
    _change("start-state", {"start": "learned"}, START, "= 0",
            "The states start from parameters that are trained, and not from zeros.",
            "Start from torch.zeros(B, H)."),
    _change("reversed-time", {"reverse": True}, UNROLL, "t = 1 … T",
            "The last row of the image comes first.",
            "Loop over t from the first step to the last."),
    _change("skips-first-step", {"skipped": "first"}, UNROLL, "t = 1",
            "The first time step is left out.",
            "Begin the loop with the first step."),
    *(
        _change("same-step", {"only": only}, UNROLL, "x_t",
                f"Every step is given the {only} row of the image.",
                "Give step t the row x_t: x[:, t].")
        for only in ("first", "last")
    ),
    _change("not-carried", {"carried": "none"}, UNROLL, "h_{t-1}, c_{t-1}",
            "Every step starts from zeros: the states are not carried on.",
            "Create the states before the loop, and hand the new ones to the next step."),
    _change("c-not-carried", {"carried": "h"}, UNROLL, "c_{t-1}",
            "c is not carried on: every step starts from c = 0.",
            "Hand the new c to the next step."),
    _change("h-not-carried", {"carried": "c"}, UNROLL, "h_{t-1}",
            "h is not carried on: every step starts from h = 0.",
            "Hand the new h to the next step."),
    *(
        _change("state-swapped", fields, UNROLL, "h_{t-1}, c_{t-1}",
                "h and c are mixed up between the steps: the cell takes for h what was c.",
                "Unpack the states in the order in which the cell returns them.")
        for fields in ({"swapped": True, "read": "c"}, {"swapped": True})
    ),
    *(
        _change(kind, {"read": read}, LOGITS, "h_T",
                f"In the logits {said}.",
                "Give the h of the last step to the output layer.")
        for read, (kind, said) in _READ.items()
    ),
    _change("c-between-layers", {"between": "c"}, UNROLL, "x_t",
            "The next layer is given c_t of the layer below, not h_t.",
            "Hand h_t to the next layer."),
    _change("layers-see-x", {"between": "x"}, UNROLL, "x_t",
            "Every layer is given the input x_t, so that those below the top change nothing.",
            "Hand h_t of a layer to the next."),
    *(
        _change("axes", {"axes": axes}, UNROLL, "t = 1 … T",
                "The batch is taken for the time: the loop runs over the images.",
                "x is [batch, time, inputs]: loop over its second axis.")
        for axes in ("TBI", "images")
    ),
    _change("axes", {"axes": "reshaped"}, UNROLL, "x_t",
            "Batch and time are mixed: reshape does not exchange axes, it reads the numbers anew.",
            "Use x[:, t], or transpose(0, 1)."),
    _change("axes", {"axes": "columns"}, UNROLL, "x_t",
            "The columns of the image are read, not its rows: x[:, :, t] takes the inputs for the time.",
            "Use x[:, t]."),
    *(
        _change(f"activation-{name}-of-h", {"before": name}, LOGITS, "h_T",
                f"{name} is applied to h_T before the output layer.",
                "Give h_T itself to the output layer.")
        for name in ("relu", "tanh")
    ),
    _SOFTMAX,
    *(
        _change(f"activation-{name}", {"after": name}, LOGITS, "logits",
                f"{name} is applied to the logits.",
                "Return the logits themselves.")
        for name in ("sigmoid", "tanh", "relu")
    ),
    _change("no-output-bias", {"bias": False}, LOGITS, "b_out",
            "The output layer has no bias.",
            "Give it one: nn.Linear(H, C)."),
)  # fmt: skip
LOG_SOFTMAX = replace(
    _SOFTMAX,
    fields={"after": "log-softmax"},
    relabels=True,
    explanation="log-softmax: it is applied to the logits. nll_loss wants that; a cross entropy applies it "
    "once more, which changes nothing.",
)
STATEFUL = _change(
    "stateful", {}, START, "= 0",
    "A call changes what the next call returns: the states are kept from one batch to the next.",
    "Start every batch from zeros.",
)  # fmt: skip
RANDOM = _change(
    "random", {}, LOGITS, "logits", "The same images give different logits: something random is drawn.",
    "Take the randomness out, or switch it off by model.eval().",
)  # fmt: skip
RANDOM_START = _change(
    "start-state",
    {},
    START,
    "= 0",
    "The states start from random numbers.",
    "Start from torch.zeros(B, H).",
)
SAME_CELL = _change(
    "same-cell-in-all-layers", {}, UNROLL, "LSTM",
    "Several layers are one and the same cell, with one set of weights.",
    "Make a new cell for every layer: [Cell() for _ in range(n)], not [Cell()] * n.",
)  # fmt: skip
SQUARE = _change(
    "axes", {}, UNROLL, "t = 1 … T",
    "It runs only with as many images as time steps: their numbers are mixed up.",
    "x is [batch, time, inputs]: B, T, _ = x.shape.",
)  # fmt: skip
ONE_IMAGE = _change(
    "sizes", {}, LOGITS, "logits", "A batch of one image fails, or gives no [1, C], though larger ones do.",
    "Do not squeeze axes away, and do not count on a size.",
)  # fmt: skip
UNLIKE = _change(
    "gradient", {}, LOGITS, "logits",
    "The logits are right, but their gradient is not that of the logits.",
    "Compare the backward pass with a finite difference; look for detach(), .data, no_grad.",
)  # fmt: skip
DETACHED = _change(
    "detached", {}, UNROLL, "h_{t-1}, c_{t-1}",
    "The logits are right, but no gradient flows back through the time steps.",
    "Do not detach the states inside the loop.",
)  # fmt: skip
DETACHED_LAYERS = _change(
    "detached", {}, UNROLL, "x_t",
    "The logits are right, but no gradient flows from a layer to the one below.",
    "Hand h_t on as it is, without detach().",
)  # fmt: skip
ONE_BIAS = _change(
    "one-layer-forget-bias", {}, UNROLL, "LSTM",
    "The forget bias starts at another value in one layer than in the others.",
    "Set the forget bias of every layer alike.",
)  # fmt: skip


def fails_in_layers(layers: int, message: str) -> Change:
    """Several layers, each of which runs alone."""
    return _change(
        "fails", {}, UNROLL, "LSTM",
        f"Calling it with {layers} layers fails: {message}.",
        "The first layer sees x_t, with I inputs; the others see h_t of the layer below, with H.",
    )  # fmt: skip


def fails_backward(message: str) -> Change:
    """A loss that cannot be followed back."""
    return _change(
        "fails", {}, LOGITS, "logits",
        f"The backward pass fails: {message}.",
        "Keep all that the logits depend on in the graph; make new tensors and change none in place.",
    )  # fmt: skip


SHOWN = {c.kind for c in CHANGES} - {"axes"}
"""Kinds that a single image of three time steps may show."""


def hypotheses() -> list[list[tuple[Change, ...]]]:
    """No change; one; two."""
    pairs = [p for p in combinations(CHANGES, 2) if not set(p[0].fields) & set(p[1].fields)]
    return [
        [(), (LOG_SOFTMAX,)],
        [*((c,) for c in CHANGES), *((c, LOG_SOFTMAX) for c in CHANGES if "after" not in c.fields)],
        list(pairs),
    ]


def unrolling(changes: tuple[Change, ...]) -> Unrolling:
    """With these changes."""
    fields: dict[str, Any] = {}
    for change in changes:
        fields |= change.fields
    return replace(Unrolling(), **fields)
