"""Which gate, or which state, a name claims: a parameter's, or a variable's."""

import re
from collections.abc import Iterable

Rule = dict[str, str]

_WORDS: Rule = {
    "forget": "f", "forgetgate": "f", "fgate": "f", "remember": "f", "olvido": "f",
    "inputgate": "i", "igate": "i", "update": "i", "entrada": "i",
    "outputgate": "o", "ogate": "o", "salida": "o",
    "candidate": "c", "cand": "c", "candidato": "c", "ctilde": "c", "tilde": "c", "cellgate": "c",
    "cgate": "c", "ggate": "c", "chat": "c", "cbar": "c", "modulation": "c", "memory": "c",
    "forg": "f", "inp": "i", "outp": "o",
}  # fmt: skip
_WEAK: Rule = {"input": "i", "in": "i", "output": "o", "out": "o", "cell": "c", "new": "c", "update": "c"}
LETTERS: Rule = {"i": "i", "f": "f", "o": "o", "c": "c", "g": "c", "a": "c", "n": "c", "j": "c"}
_PREFIX = r"^(?:w|u|b|v|r|k|l|weight|bias|gate|lin|linear|dense)?"
_PATTERNS = (
    re.compile(_PREFIX + r"[ih]([ifgon])$"),  # weight_ii, weight_hf: PyTorch's documentation
    re.compile(_PREFIX + r"(?:[xh]2?|i2|xh|hx|hh)?([ifocganj])(?:t|g|gate)?$"),
    re.compile(_PREFIX + r"([ifocganj])(?:x|h|xh|hx)$"),
)
GENERIC = {
    "weight",
    "bias",
    "kernel",
    "linear",
    "lin",
    "layer",
    "gate",
    "gates",
    "w",
    "u",
    "b",
    "x",
    "h",
    "param",
}


def _tokens(name: str) -> list[str]:
    name = re.sub(r"([a-z])([A-Z][a-z])", r"\1_\2", name)
    return [t for t in re.split(r"[^0-9A-Za-z]+", name.lower()) if t]


def _by_word(words: Rule, name: str) -> str | None:
    return next((words[t] for t in reversed(_tokens(name)) if t in words), None)


def _by_pattern(pattern: re.Pattern[str], name: str) -> str | None:
    for token in reversed(_tokens(name)):
        found = pattern.match(token)
        if found and token not in GENERIC:
            return LETTERS[found[1]]
    return None


def claims(names: Iterable[str]) -> dict[str, str]:
    """The gate that each parameter's name claims; names that claim none are missing.

    A letter counts only where its way to name gates names two at least: W_ih is a gate's beside W_fh, and not
    beside W_hh.
    """
    names = list(names)
    found = {n: gate for n in names if (gate := _by_word(_WORDS, n))}
    # the second is the plain way, and may add to what words say
    for pattern, least in zip(_PATTERNS, (2, 1 - bool(found), 1), strict=True):
        new = {n: gate for n in names if n not in found and (gate := _by_pattern(pattern, n))}
        if len(set(new.values())) > least:
            found |= new
    new = {n: gate for n in names if n not in found and (gate := _by_word(_WEAK, n))}
    found |= new
    found = _without_update(found)
    left, missing = [n for n in names if n not in found], sorted(set("ifoc") - set(found.values()))
    if len(missing) == 1 and len({n.rpartition(".")[0] for n in left}) == 1:  # one module, one gate
        found |= dict.fromkeys(left, missing[0])
    return found if len(set(found.values())) > 1 else {}


def _without_update(found: dict[str, str]) -> dict[str, str]:
    """With what is called an update, or u, for the one of i and c that no other name claims."""
    updates = {n for n in found if {"update", "u"} & set(_tokens(n)) and found[n] in "ic"}
    claimed = {gate for n, gate in found.items() if n not in updates}
    left = [gate for gate in "ic" if gate not in claimed]
    return found | dict.fromkeys(updates, left[0]) if len(left) == 1 else found


_CANDIDATES = re.compile(
    r"^(gg?|g_?[ct]|c_?t?_?(tilde|tilda|hat|bar|cand|candidate|prime|in|temp)(_t)?|cct|cc|cand(idate)?(_t)?|"
    r"cell_?(gate|candidate|cand|tilde)|new_?(memory|info|candidate)|c_?(tilde|hat|bar)_?t|g_?gate|candidato|tilde_c)$"
)
_GATE_VARIABLES = re.compile(
    r"^(?:gate_?|gamma_?|g_?|z_?|a_?|pre_?|lin_?)?(i|f|o|in|inp|input|forget|forg|output|outp|out|update|(?<=gamma)u|(?<=gamma_)u|(?<=g)u|(?<=g_)u)"
    r"(?:_?(?:gate|g|lin|pre|raw|act|z|t))*$"
)
_CANDIDATE_PARTS = re.compile(r"^(?:gate_?|z_?|a_?|pre_?|lin_?)(?:c|g)_?t?$|^g(?:_?(?:lin|pre|raw|act|z))+$")
C_STATE = re.compile(
    r"^(c|c_?t|c_?(next|new|out|n|1|cur|now|prime)|c_?y|cx|c_?t_?1|new_?c|next_?c|cell(_?state)?(_?new)?|new_?cell|C|ct|c_state|self\.c)$",
    re.I,
)
H_STATE = re.compile(
    r"^(h|h_?t|h_?(next|new|out|n|1|cur|now)|h_?y|hx|new_?h|next_?h|hidden(_?state)?(_?new)?|new_?hidden|ht|a_?next|a_?t|y|self\.h)$",
    re.I,
)


def gate_of_variable(name: str) -> str | None:
    """The gate that a variable's name claims to hold; c and c_t are states."""
    name = name.lower().strip("_")
    if _CANDIDATES.match(name) or _CANDIDATE_PARTS.match(name):
        return "c"
    found = _GATE_VARIABLES.match(name)
    return found[1][0].replace("u", "i") if found else None
