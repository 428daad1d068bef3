"""The parameters of a function that nothing in its file makes: found by trying.

The function is called with a stand-in for its parameters. What it reads of that is noted, one thing after the
other, and given one of the few shapes that a weight can have, until the call returns two states.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import FrameType
from typing import Any

import numpy as np

from parity.doctor.sandbox.backends import Backend
from parity.doctor.sandbox.bytecode import is_read_by_name, stored_in, unpacking
from parity.doctor.sandbox.sizes import Sizes

Kind = tuple[str, ...] | None
"""A shape in the letters of the sizes; None: a container."""

Keys = tuple["Key", ...]

_Shapes = list[tuple[str, ...]]

# for one gate each, for all gates side by side, for all gates one behind the other: matrices and biases
_GATES: tuple[_Shapes, _Shapes] = (
    [("H", "I+H"), ("I+H", "H"), ("H", "I"), ("I", "H"), ("H", "H"), ("H", "I+H+1"), ("I+H+1", "H")],
    [("H",), ("H", "1"), ("1", "H")],
)
_FUSED: tuple[_Shapes, _Shapes] = (
    [
        *(("4H", "I+H"), ("I+H", "4H"), ("4H", "I"), ("I", "4H"), ("4H", "H"), ("H", "4H")),
        *(("4H", "I+H+1"), ("I+H+1", "4H")),
    ],
    [("4H",), ("4H", "1"), ("1", "4H")],
)
_STACKED: tuple[_Shapes, _Shapes] = (
    [
        *(("4", "H", "I+H"), ("4", "I+H", "H"), ("4", "H", "I"), ("4", "I", "H"), ("4", "H", "H")),
        *(("4", "H", "I+H+1"), ("4", "I+H+1", "H")),
    ],
    [("4", "H"), ("4", "H", "1"), ("4", "1", "H")],
)
_MIXED = ([*_GATES[0], *_FUSED[0], *_STACKED[0]], [*_GATES[1], *_FUSED[1], *_STACKED[1]])
STYLES = (_GATES, _FUSED, _STACKED, _MIXED)
_OUTPUT: _Shapes = [("H", "C"), ("C", "H")]
_OUTPUT_BIASES: _Shapes = [("C",), ("C", "1")]

_BIAS = re.compile(r"(?i)b(?![a-z]{4})|bias|.*_b(ias)?$|.*bias")
_WEIGHT = re.compile(r"(?i)[wuvr](?![a-z]{3})|.*(weight|kernel|matrix)|.*_[wu]$")
_OF_OUTPUT = re.compile(r"(?i)y|logit|class|fc|head|dense|w_?out$|b_?out$")
_GATE_WORD = re.compile(
    r"input|forget|output|candidate|cand|cell|update|memory|reset|new|inp|out|mem|fg|ig|og"
)
_GATE_LETTERS = "ifocguaj"


@dataclass(frozen=True)
class Key:
    """One step from a container to what it holds.

    Attributes:
        value: the key, position or name.
        how: "item" for [value], "attribute" for .value.
    """

    value: str | int
    how: str


_DONE: Keys = (Key("", "item"),)


class _Wanted(BaseException):
    """Something is read of which no kind is known; no student's `except Exception` stops it."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(keys)
        self.keys = keys


class _Node:
    """A stand-in for a container of parameters."""

    def __init__(self, search: "Search", keys: Keys) -> None:
        self.__dict__["_search"], self.__dict__["_keys"] = search, keys

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str | int):
            raise TypeError("parameters are read by names or positions")
        return self._read(Key(key, "item"), sys._getframe(1))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("shape", "dtype", "ndim", "T"):
            raise AttributeError(name)
        return self._read(Key(name, "attribute"), sys._getframe(1))

    def __setitem__(self, key: str | int, value: Any) -> None:
        self.__dict__["_search"].overwritten[*self.__dict__["_keys"], Key(key, "item")] = value

    def __contains__(self, key: Any) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        names = unpacking(sys._getframe(1)) or [""] * 4
        search, keys = self.__dict__["_search"], self.__dict__["_keys"]
        search.lengths[keys] = len(names)
        for number, name in enumerate(names):
            search.labels.setdefault((*keys, Key(number, "item")), name)
        return iter([search.read((*keys, Key(n, "item"))) for n in range(len(names))])

    def get(self, key: Any, default: Any = None) -> Any:
        return self[key]

    def _read(self, key: Key, frame: FrameType) -> Any:
        search, keys = self.__dict__["_search"], (*self.__dict__["_keys"], key)
        if isinstance(key.value, int) and (name := stored_in(frame)):
            search.labels.setdefault(keys, name)
        if is_read_by_name(frame):
            search.containers.add(keys)
        return search.read(keys)


class Search:
    """A search for the shapes of all that a function reads of its parameters."""

    def __init__(
        self,
        attempt: Callable[[Any], bool],
        backend: Backend,
        sizes: Sizes,
        beat: Callable[[], None],
        *,
        weights: Sequence[str] = (),
    ) -> None:
        """Prepare.

        Args:
            attempt: calls the function with parameters (a container, or name → array); whether it returned
                what it should.
            sizes: at which it is tried; I, H and I + H should be different.
            beat: called before each call, to show that the search goes on.
            weights: names of the arguments, where each weight is one.
        """
        self._attempt, self._backend, self._sizes, self._beat = attempt, backend, sizes, beat
        self._weights = tuple(weights)
        self._kinds: dict[Keys, Kind] = {}
        self._fixed: dict[Keys, Kind] = {}
        self._scalar_biases = False
        self._style, self._thorough = _MIXED, False
        self.labels: dict[Keys, str] = {}
        self.lengths: dict[Keys, int] = {}
        self.containers: set[Keys] = set()
        self.error: Exception | None = None
        self.overwritten: dict[Keys, Any] = {}
        self._kept: dict[tuple[str, ...], Any] = {}

    def run(
        self, seconds: float, style: tuple[_Shapes, _Shapes], *, thorough: bool
    ) -> dict[Keys, Kind] | None:
        """Keys → kind of all that is read; None where no shapes were found.

        Args:
            seconds: after which to give up.
            style: one of `STYLES`.
            thorough: whether to try the shapes of all weights with each other, rather than those of the
                matrices with biases that go with any, and then those of the biases.
        """
        self._until, self._style, self._thorough = time.monotonic() + seconds, style, thorough
        self.labels = {(Key(name, "item"),): name for name in self._weights}
        self._fixed, self._scalar_biases = {}, not thorough
        return self._extended({})

    def _with_biases(self, matrices: Mapping[Keys, Kind]) -> dict[Keys, Kind] | None:
        self._scalar_biases = False
        self._fixed = {keys: kind for keys, kind in matrices.items() if kind != ()}
        try:
            return self._extended({})
        finally:
            self._fixed, self._scalar_biases = {}, True

    def read(self, keys: Keys) -> Any:
        """What the function gets when it reads something."""
        if keys in self.overwritten:
            return self.overwritten[keys]
        if keys not in self._kinds:
            if (same := self._same(keys)) is None:
                raise _Wanted(keys)
            self._kinds[keys] = self._kinds[same]
        kind = self._kinds[keys]
        return _Node(self, keys) if kind is None else self._drawn(kind)

    def _extended(self, kinds: dict[Keys, Kind]) -> dict[Keys, Kind] | None:
        missing = self._call(kinds)
        if missing is None:
            return None
        if missing is _DONE:
            return self._with_biases(kinds) if self._scalar_biases else kinds
        for kind in self._possible(missing):
            if time.monotonic() > self._until:
                return None
            if (found := self._extended({**kinds, missing: kind})) is not None:
                return found
        return None

    def _call(self, kinds: dict[Keys, Kind]) -> Keys | None:
        """What else it reads; `_DONE` where the call is as it should be, None where it is not."""
        self.overwritten = {}
        self._beat()
        self._kinds = kinds
        try:
            if self._weights:
                given: Any = {name: self.read((Key(name, "item"),)) for name in self._weights}
            else:
                given = self.read(())
            return _DONE if self._attempt(given) else None
        except _Wanted as wanted:
            return wanted.keys
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            self.error = self.error or error
            return None

    def _drawn(self, kind: tuple[str, ...]) -> Any:
        if self._backend.name != "jax":
            return self._new(kind)
        if kind not in self._kept:  # JAX's arrays cannot be changed, and take time to make
            self._kept[kind] = self._new(kind)
        return self._kept[kind]

    def _new(self, kind: tuple[str, ...]) -> Any:
        shape = shape_of(kind, self._sizes)
        return self._backend.array(np.random.default_rng(1).uniform(-0.5, 0.5, shape).astype(np.float32))

    def _possible(self, keys: Keys) -> list[Kind]:
        if keys in self._fixed:
            return [self._fixed[keys]]
        matrices, biases = self._style
        last = self._last(keys)
        is_bias, is_weight = self._hints(keys)
        if not self._weights and not keys:
            return [None, *matrices]
        if keys in self.containers:
            return [None]
        container: list[Kind] = [] if self._weights else [None]
        if self._scalar_biases and is_bias:
            return [(), *container]
        shapes: list[Kind] = [*biases] if is_bias else [*matrices]
        output: list[Kind] = [*_OUTPUT_BIASES] if is_bias else [*_OUTPUT]
        if not self._thorough and (is_bias or is_weight):
            return [*output, *shapes] if _OF_OUTPUT.search(last) else shapes
        shapes = [*output, *shapes] if _OF_OUTPUT.search(last) else [*shapes, *output]
        if self._style is _MIXED or not (is_bias or is_weight):
            shapes += [*matrices, *_OUTPUT] if is_bias else [*biases, *_OUTPUT_BIASES]
        return [*shapes, *container] if is_bias or is_weight else [*container, *shapes]

    def _hints(self, keys: Keys) -> tuple[bool, bool]:
        """Whether names say that it is a bias, a matrix; the last name that says anything."""
        for length in range(len(keys), 0, -1):
            name = self._last(keys[:length])
            if _BIAS.match(name) or _WEIGHT.match(name):
                return bool(_BIAS.match(name)), not _BIAS.match(name)
        return False, False

    def _same(self, keys: Keys) -> Keys | None:
        """What is known and differs from this by its gate only."""
        label = self._label(keys)
        level = (other for other in self._kinds if len(other) == len(keys))
        return next((other for other in level if alike(label, self._label(other))), None)

    def _last(self, keys: Keys) -> str:
        return self.labels.get(keys) or str(keys[-1].value if keys else "")

    def _label(self, keys: Keys) -> str:
        parts = (self._last(keys[: n + 1]) for n in range(len(keys)))
        return ".".join("" if part.isdigit() else part for part in parts)


def shape_of(kind: tuple[str, ...], sizes: Sizes) -> tuple[int, ...]:
    """A shape in numbers."""
    I, H = sizes.I, sizes.H  # noqa: E741
    table = {"I": I, "H": H, "I+H": I + H, "I+H+1": I + H + 1, "4H": 4 * H, "C": sizes.C, "1": 1, "4": 4}
    return tuple(table[letter] for letter in kind)


def alike(one: str, other: str) -> bool:
    """Whether two names differ by the gate only: W_f and W_i, forget.W and input.W."""
    known = any(letter.isalpha() for letter in one)
    return known and (one == other or bool(_patterns(one) & _patterns(other)))


@cache
def _patterns(name: str) -> set[str]:
    """A name with its gate left out, in all ways in which it may be named."""
    text, found = name.lower() if not name[:1].isupper() else name[:1] + name[1:].lower(), set()
    for match in _GATE_WORD.finditer(text):
        found.add(f"{text[: match.start()]}*{text[match.end() :]}")
    for token in re.finditer(r"[A-Za-z]{1,3}(?![A-Za-z])", text):
        if token.start() and text[token.start() - 1].isalpha():
            continue
        for place in range(token.start(), token.end()):
            if text[place] in _GATE_LETTERS:
                found.add(f"{text[:place]}*{text[place + 1 :]}")
    return found
