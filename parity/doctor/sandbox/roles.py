"""What an argument is for, by its name."""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

X = {
    "x",
    "xt",
    "inp",
    "input",
    "inputs",
    "xin",
    "xi",
    "features",
    "data",
    "token",
    "emb",
    "embedded",
    "embedding",
    "xinput",
    "entrada",
}
H = {"h", "hx", "ht", "hid", "hidden", "hp", "a", "hh", "shortterm", "short", "hs", "hin"}
C = {"c", "cx", "ct", "cell", "cp", "mem", "memory", "longterm", "long", "cc", "s", "cs", "cin"}
STATE = {
    "",
    "carry",
    "hc",
    "ch",
    "hxcx",
    "hcx",
    "lstm",
    "hidden",
    "h",
    "hx",
    "hidcell",
    "cellhidden",
    "hiddencell",
    "estado",
}
PARAMETERS = {"params", "parameters", "param", "p", "weights", "theta", "w", "ps", "variables", "parametros"}
LABELS = {"y", "yt", "label", "labels", "target", "targets", "ytrue", "gold", "t", "yb", "ybatch"}
MODEL = {"model", "net", "network", "classifier", "clf", "lstm"}
OPTIMIZER = {"optimizer", "optimiser", "opt", "optim"}
CRITERION = {"criterion", "loss", "lossfn", "lossfunction", "lossfunc", "crit", "objective"}
KEY = {"key", "rngkey", "prngkey", "k"}
GENERATOR = {"rng", "generator", "gen", "randomstate", "random"}
SEED = {"seed", "randomseed"}
_NO_STATE = LABELS - {"t"} | MODEL - {"lstm"} | OPTIMIZER | CRITERION | KEY | GENERATOR | SEED
SEQUENCES = {"xs", "seq", "sequence", "inputseq", "xseq", "images"}

_NOISE = re.compile(
    r"previous|prev|last|old|states?|init(?:ial)?|tensor|vector|tminus\d|tm\d|current|curr|step|batch|minus|\d+$|_"
)
_INPUT_SIZE = {
    *("i", "d", "n", "m", "inputsize", "inputdim", "nin", "nx", "ni", "din", "indim", "insize", "infeatures"),
    *("inputs", "ninputs", "ninput", "xdim", "xsize", "inputdims", "embedsize", "embeddim", "embeddingdim"),
    *("featuresize", "nfeatures", "numinputs", "dx", "isize", "idim", "indims", "inputs", "inputfeatures"),
    *("embsize", "inputunits", "numfeatures", "input", "inp", "inpsize", "inpdim", "dinput", "inp", "ninp"),
}
_HIDDEN_SIZE = {
    *("h", "hiddensize", "hiddendim", "nhidden", "hidden", "units", "nh", "dh", "hdim", "hsize", "statesize"),
    *(
        "nunits",
        "numhidden",
        "numhiddens",
        "na",
        "hid",
        "hiddenunits",
        "hiddenfeatures",
        "dhidden",
        "hiddens",
    ),
    *(
        "numunits",
        "statedim",
        "nhid",
        "cellsize",
        "hidsize",
        "hiddim",
        "hiddenlayersize",
        "hiddendims",
        "nhiddens",
    ),
}
_CLASS_SIZE = {
    *(
        "c",
        "numclasses",
        "nclasses",
        "nclass",
        "classes",
        "outputsize",
        "outputdim",
        "nout",
        "outdim",
        "noutputs",
    ),
    *(
        "numoutputs",
        "outfeatures",
        "outsize",
        "ny",
        "k",
        "o",
        "numclass",
        "outputs",
        "dout",
        "nc",
        "output",
        "out",
    ),
    *("numlabels", "outputfeatures", "outputunits", "numoutput", "nlabels", "dy", "no"),
}
_LAYERS = {"numlayers", "nlayers", "layers", "l", "depth", "nlayer", "numlayer"}


@dataclass(frozen=True)
class Slot:
    """An argument.

    Attributes:
        name: of it.
        role: "x", "first", "second", "state", "params", "weight", …; for a size "I", "H", "C", "layers".
        keyword: whether it must be given by name.
    """

    name: str
    role: str
    keyword: bool = False


def core(name: str) -> str:
    """A name without what says "of the previous step": "h_prev", "prev_hidden_state" → "h", "hidden"."""
    text = _NOISE.sub("", re.sub(r"_t(?=_|$)", "", name.lower()))
    return text[:-1] if len(text) > 2 and text.endswith("t") and text[:-1] in H | C | X else text


def flat(name: str) -> str:
    """A name in small letters without underscores."""
    return name.lower().replace("_", "")


def is_h(name: str) -> bool:
    """Whether a name is one of the hidden state."""
    return core(name) in H


def is_c(name: str) -> bool:
    """Whether a name is one of the cell state."""
    return core(name) in C


def is_weight(name: str) -> bool:
    """Whether a name may be one of a single weight, "W_f", "bias_i", "kernel"."""
    return bool(re.match(r"(?i)[wubvr](?![a-z]{3})|.*(weight|bias|kernel|matrix)", name))


def arguments(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The arguments of a function, *args and **kwargs left out; None where Python cannot tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def required(parameters: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    """Those without a default."""
    return [p for p in parameters if p.default is p.empty]


def slots(
    given: Sequence[tuple[inspect.Parameter, str]], among: Sequence[inspect.Parameter]
) -> tuple[Slot, ...]:
    """Arguments with roles, in order; by name after one that is left out."""
    roles = {p.name: role for p, role in given}
    found, keyword = [], False
    for p in among:
        if p.name in roles:
            found.append(Slot(p.name, roles[p.name], keyword or p.kind is p.KEYWORD_ONLY))
        else:
            keyword = True
    return tuple(found)


def of_cell(parameters: Sequence[inspect.Parameter], *, holds_weights: bool) -> tuple[Slot, ...] | None:
    """The roles of a cell's arguments; None where it cannot be one.

    Args:
        parameters: without self.
        holds_weights: whether it is the method of a class, so that no weights are among its arguments.
    """
    named = _states(parameters) or (_by_place if holds_weights else _beside_parameters)(parameters)
    if named is None:
        return None
    taken = {p.name for p, _ in named}
    rest = [p for p in required(parameters) if p.name not in taken]
    if holds_weights:
        return None if rest else slots(named, parameters)
    if not rest:
        rest = [p for p in parameters if p.name not in taken and flat(p.name) in PARAMETERS]
    if len(rest) == 1:
        return slots([*named, (rest[0], "params")], parameters)
    if len(rest) > 1 and all(is_weight(p.name) for p in rest):
        return slots([*named, *((p, "weight") for p in rest)], parameters)
    return None


_Named = list[tuple[inspect.Parameter, str]]


def _states(parameters: Sequence[inspect.Parameter]) -> _Named | None:
    """x and the states by their names."""
    by_core = [(p, core(p.name)) for p in parameters if flat(p.name) not in PARAMETERS]
    x = next((p for p, name in by_core if name in X), None)
    h = next((p for p, name in by_core if name in H and p is not x), None)
    c = next((p for p, name in by_core if name in C and p is not x), None)
    if x is None:
        return None
    if h is not None and c is not None:
        pair = [p for p in parameters if p is h or p is c]
        return [(x, "x"), (pair[0], "first"), (pair[1], "second")]
    state = next((p for p, name in by_core if name in STATE and p is not x and not _of_optimiser(p)), None)
    return [(x, "x"), (state, "state")] if state is not None else None


def _of_optimiser(parameter: inspect.Parameter) -> bool:
    return flat(parameter.name).startswith("opt")


def _by_place(parameters: Sequence[inspect.Parameter]) -> _Named | None:
    needed = required(parameters)
    if any(core(p.name) in LABELS - {"t", "y"} or flat(p.name) in PARAMETERS for p in needed):
        return None
    if len(needed) == 3:
        return list(zip(needed, ("x", "first", "second"), strict=True))
    if len(needed) == 2:
        return list(zip(needed, ("x", "state"), strict=True))
    return None


def _beside_parameters(parameters: Sequence[inspect.Parameter]) -> _Named | None:
    """x and one state, of which one is known by its name, beside the parameters."""
    needed = required(parameters)
    rest = [p for p in needed if flat(p.name) not in PARAMETERS]
    if len(needed) != 3 or len(rest) != 2:
        return None
    if any({core(p.name), flat(p.name)} & _NO_STATE or _of_optimiser(p) for p in rest):
        return None
    xs = [p for p in rest if core(p.name) in X]
    states = [p for p in rest if core(p.name) in STATE | H | C]
    if len(xs) == 1 or len(states) == 1:
        x = xs[0] if len(xs) == 1 else next(p for p in rest if p is not states[0])
        return [(x, "x"), (next(p for p in rest if p is not x), "state")]
    return None


def of_classifier(parameters: Sequence[inspect.Parameter], *, holds_weights: bool) -> tuple[Slot, ...] | None:
    """The roles of a classifier's arguments (x, or params and x); None where it cannot be one."""
    needed = required(parameters)
    if holds_weights:
        return slots([(needed[0], "x")], parameters) if len(needed) == 1 else None
    if len(needed) != 2:
        return None
    first, second = needed
    if flat(first.name) in PARAMETERS or core(second.name) in X | SEQUENCES:
        return slots([(first, "params"), (second, "x")], parameters)
    if flat(second.name) in PARAMETERS or core(first.name) in X | SEQUENCES:
        return slots([(first, "x"), (second, "params")], parameters)
    return None


def of_sizes(parameters: Sequence[inspect.Parameter], order: Sequence[str]) -> tuple[Slot, ...]:
    """The roles of a constructor's or an init function's arguments: sizes, keys, seeds.

    Args:
        parameters: without self.
        order: of the sizes, for those whose names say nothing.

    Raises:
        ValueError: an argument without a default is none of them; names it.
    """
    roles = {p.name: role for p in parameters if (role := _size_role(p.name, order))}
    roles = _without_doubles(roles, parameters)
    left = [role for role in order if role not in roles.values() and role != "layers"]
    for p in required(parameters):
        if p.name not in roles:
            if not left:
                raise ValueError(p.name)
            roles[p.name] = left.pop(0)
    return slots([(p, roles[p.name]) for p in parameters if p.name in roles], parameters)


def is_size(name: str, role: str) -> bool:
    """Whether a name is one of the input's ("I") or the state's ("H") size."""
    return flat(name) in (_INPUT_SIZE if role == "I" else _HIDDEN_SIZE)


def _size_role(name: str, order: Sequence[str]) -> str | None:
    text = flat(name)
    tables = {"I": _INPUT_SIZE, "H": _HIDDEN_SIZE, "C": _CLASS_SIZE, "layers": _LAYERS}
    # Cell(in_features, out_features): of a cell without classes, what goes out is its state
    if "C" not in order and text in _CLASS_SIZE - {"c"}:
        return "H"
    others = {"key": KEY, "rng": GENERATOR, "seed": SEED, "device": {"device"}, "dropout": {"dropout", "p"}}
    others |= {"batch_first": {"batchfirst"}}
    others |= {
        "bias": {"bias", "usebias"},
        "T": {"seqlen", "seqlength", "sequencelength", "t", "timesteps", "steps"},
    }
    others |= {"batch": {"batchsize", "b", "batch"}, "scale": {"scale", "std", "sigma"}, "dtype": {"dtype"}}
    found = next((role for role, names in tables.items() if text in names and role in order), None)
    return found or next((role for role, names in others.items() if text in names), None)


def _without_doubles(roles: dict[str, str], parameters: Sequence[inspect.Parameter]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for p in parameters:
        role = roles.get(p.name)
        if role and role not in kept.values():
            kept[p.name] = role
    return kept


def of_training(parameters: Sequence[inspect.Parameter]) -> tuple[Slot, ...] | None:
    """The roles of a training step's arguments (model, x, labels, optimizer, criterion), or None."""
    found: list[tuple[inspect.Parameter, str]] = []
    tables = {"opt_state": {"optstate", "state", "optimizerstate", "optimiserstate"}, "model": MODEL}
    tables |= {"optimizer": OPTIMIZER | {"tx"}, "criterion": CRITERION, "labels": LABELS - {"t"}}
    tables |= {"params": PARAMETERS - {"w", "p"}, "lr": {"lr", "learningrate", "eta"}, "device": {"device"}}
    tables |= {"x": X | SEQUENCES | {"xb", "bx", "xbatch", "batchx", "image", "img", "imgs", "batch"}}
    tables["labels"] |= {"by", "batchy", "lbl", "classes"}
    for p in parameters:
        names = {flat(p.name), core(p.name)}
        role = next((role for role, table in tables.items() if names & table), None)
        if role and role not in (r for _, r in found):
            found.append((p, role))
        elif p.default is p.empty:
            return None
    held = {role for _, role in found}
    return slots(found, parameters) if {"x", "labels"} <= held and held & {"model", "params"} else None
