"""Finding out by trial how a candidate is called, and with what parameters."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from parity.doctor.sandbox import calling, roles, running
from parity.doctor.sandbox.array_models import FunctionModel
from parity.doctor.sandbox.backends import AnyArray, Backend
from parity.doctor.sandbox.calling import LAYOUTS, Form
from parity.doctor.sandbox.candidates import Candidate, Candidates
from parity.doctor.sandbox.discover import STYLES, Search
from parity.doctor.sandbox.errors import Failed, Refused, translated
from parity.doctor.sandbox.instance import Instance
from parity.doctor.sandbox.makers import Discovered, InitFunction, Maker
from parity.doctor.sandbox.sizes import ALL, Sizes

TRIALS = (Sizes(2, 3, 11), Sizes(3, 3, 11))
"""Sizes at which a candidate is tried: one that mixes up sizes may still run at the second."""

BATCH, TIME = 7, 6

_INITIAL = re.compile(r"(?i)init|make|create|build|new|get|param|weight|random")
_OTHER = re.compile(
    r"(?i)train|main|run|fit|load|plot|test|eval|demo|grad|check|loss|accuracy|state|carry|hidden"
)

Arrays = Mapping[str, AnyArray]
Trial = Callable[[Form, Sizes], Form]


class Fitter:
    """Tries candidates of a file."""

    def __init__(self, candidates: Candidates, seconds: float, beat: Callable[[], None]) -> None:
        """Prepare.

        Args:
            seconds: that may go into guessing shapes.
            beat: called before each trial, to show that it goes on.
        """
        self._beat = beat
        self.candidates = candidates
        self._until = time.monotonic() + seconds
        self.source, self.module = candidates.source, candidates.module

    def cell(self, candidate: Candidate, *, guess: bool) -> None:
        """Find out how a cell is called; where no way works, its error is that of the first.

        Args:
            guess: whether to guess the shapes of parameters that nothing makes.
        """
        trial: Trial = lambda form, sizes: self._cell(candidate, form, sizes)  # noqa: E731
        self._fit(candidate, list(self._forms(candidate)), trial, guess=guess)

    def classifier(self, candidate: Candidate, *, guess: bool) -> None:
        """Find out whether a classifier can be called; as `cell`."""
        trial: Trial = lambda form, sizes: self._classifier(candidate, form, sizes)  # noqa: E731
        self._fit(candidate, [Form(candidate.slots)], trial, guess=guess)

    def _fit(self, candidate: Candidate, forms: list[Form], trial: Trial, *, guess: bool) -> None:
        model = candidate.model
        if not isinstance(model, FunctionModel):
            self._first_that_works(candidate, forms, trial)
            return
        first: tuple[Maker, Failed | None] | None = None
        for maker in self._init_functions(candidate, model):
            model.maker = maker
            if self._first_that_works(candidate, forms, trial):
                return
            first = first or (maker, candidate.error)
        guessed = guess and self._discovered(candidate, model, forms)
        if guessed and self._first_that_works(candidate, [candidate.form], trial):
            return
        model.maker, candidate.error = first or (None, Failed(self._unknown(candidate), candidate.line))

    def _first_that_works(self, candidate: Candidate, forms: list[Form], trial: Trial) -> bool:
        first: Failed | None = None
        for sizes in TRIALS:
            for form in forms:
                self._beat()
                try:
                    candidate.form, candidate.error = trial(form, sizes), None
                    return True
                except Exception as error:
                    first = first or self._failure(error)
        candidate.form, candidate.error = forms[0], first
        return False

    def _failure(self, error: Exception) -> Failed:
        failure = translated(error, self.source.path)
        if isinstance(failure, Refused):
            raise failure from None
        return failure

    def _forms(self, candidate: Candidate) -> Iterator[Form]:
        state = next((slot.name for slot in candidate.slots if slot.role == "state"), None)
        for layout in LAYOUTS:
            if state is None:
                yield Form(candidate.slots, layout)
            else:
                keys = self.source.keys(candidate.called, state)
                for holder in calling.holders(self.module, keys):
                    yield Form(candidate.slots, layout, holder)

    def _cell(self, candidate: Candidate, form: Form, sizes: Sizes) -> Form:
        assert candidate.model
        with candidate.model.backend.scope("float32"):
            instance = candidate.model.build(sizes, "float32")
            pieces = {name: form.pieces(value)[0] for name, value in _inputs(sizes).items()}
            shape, picked = pieces["first"].shape, form.picked

            def call(arrays: Mapping[str, Any]) -> Any:
                nonlocal picked
                returned = instance.call(form, arrays)
                picked = calling.pick(returned, candidate.names, shape, instance.backend)
                picked = calling.in_order(picked, form.holder)
                return calling.states(returned, form, candidate.names, shape, instance.backend)

            self._shaped(call, pieces, instance.backend)
        return replace(form, picked=picked)

    def _shaped(self, call: Callable[[Mapping[str, Any]], Any], values: Arrays, backend: Backend) -> None:
        """Call, or go through the motions, of which the file keeps nothing."""
        held = dict(vars(self.module))
        try:
            backend.shaped(call, _arrays(values, backend))
        finally:
            if backend.name == "jax":
                vars(self.module).update(held)

    def _classifier(self, candidate: Candidate, form: Form, sizes: Sizes) -> Form:
        assert candidate.model
        with candidate.model.backend.scope("float32"):
            instance: Instance = candidate.model.build(sizes, "float32")

            def call(arrays: Mapping[str, Any]) -> Any:
                return running.logits_in(instance.call(form, arrays), (BATCH, sizes.C), instance.backend)

            self._shaped(call, {"x": _sequence(sizes)}, instance.backend)
        return form

    def _init_functions(self, candidate: Candidate, model: FunctionModel) -> Iterator[InitFunction]:
        ranked: list[tuple[bool, int, Callable[..., Any], tuple[roles.Slot, ...]]] = []
        for name, value in self.candidates.own().items():
            if name != candidate.name and not isinstance(value, type) and (slots := self._draws(name, value)):
                ranked.append((not _INITIAL.search(name), len(ranked), value, slots))
        for *_, function, slots in sorted(ranked, key=lambda entry: entry[:2]):
            maker = InitFunction(function, slots, model.backend, weights=model.weights)
            try:
                parts = maker.parts()
            except Exception as error:
                self._failure(error)
                continue
            for part in range(parts):
                yield replace(maker, part=part)

    def _draws(self, name: str, function: Callable[..., Any]) -> tuple[roles.Slot, ...] | None:
        """The arguments of an init function; None for what is none."""
        if _OTHER.search(name) and not _INITIAL.match(name):
            return None
        parameters = roles.arguments(function) or []
        try:
            slots = roles.of_sizes(parameters, ALL)
        except ValueError:
            return None
        held = {slot.role for slot in slots}
        named = {role for p in parameters for role in ("I", "H") if roles.is_size(p.name, role)}
        if not {"I", "H"} <= held or not (_INITIAL.search(name) or named == {"I", "H"}):
            return None
        needed = {p.name for p in roles.required(parameters)}
        return tuple(slot for slot in slots if slot.name in needed or slot.role in ALL)

    def _discovered(self, candidate: Candidate, model: FunctionModel, forms: list[Form]) -> bool:
        sizes = TRIALS[0]
        forms = list(
            {(form.layout, form.holder and form.holder.keys): form for form in reversed(forms)}.values()
        )[::-1]
        ways = [(form, style, thorough) for thorough in (False, True) for style in STYLES for form in forms]
        for left, (form, style, thorough) in zip(range(len(ways), 0, -1), ways, strict=True):
            attempt = self._attempt(candidate, model, form, sizes)
            search = Search(attempt, model.backend, sizes, self._beat, weights=model.weights)
            seconds = 3 * max(0.0, self._until - time.monotonic()) / (left + 2)
            with model.backend.scope("float32"), model.backend.uncompiled():
                kinds = search.run(seconds, style, thorough=thorough)
            if kinds is not None:
                model.maker = Discovered(kinds, search.lengths, model.backend, self.module, model.weights)
                candidate.form = form
                return True
        return False

    def _attempt(
        self, candidate: Candidate, model: FunctionModel, form: Form, sizes: Sizes
    ) -> Callable[[Any], bool]:
        backend = model.backend
        values = {"x": _sequence(sizes)} if candidate.kind == "classifier" else _inputs(sizes)
        pieces = {name: form.pieces(value)[0] for name, value in values.items()}

        def attempt(parameters: Any) -> bool:
            weights = parameters if model.weights else {"params": parameters}

            def call(arrays: Mapping[str, Any]) -> Any:
                given, named = form.arguments({**arrays, **weights})
                returned = model.function(*given, **named)
                if candidate.kind == "classifier":
                    return running.logits_in(returned, (BATCH, sizes.C), backend)
                return calling.states(returned, form, candidate.names, pieces["first"].shape, backend)

            self._shaped(call, pieces, backend)
            return True

        return attempt

    def _unknown(self, candidate: Candidate) -> str:
        what = "two states" if candidate.kind == "cell" else "logits"
        return (
            f"the shapes of {candidate.name}'s parameters could not be found out: no call of it with"
            f" weights of the usual shapes returned {what}; add a function"
            " init_params(rng, input_size, hidden_size) to the file that makes its parameters"
        )


def _inputs(sizes: Sizes) -> dict[str, AnyArray]:
    rng = np.random.default_rng(0)
    shapes = {"x": (BATCH, sizes.I), "first": (BATCH, sizes.H), "second": (BATCH, sizes.H)}
    return {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}


def _sequence(sizes: Sizes) -> AnyArray:
    return np.random.default_rng(0).uniform(-1, 1, (BATCH, TIME, sizes.I)).astype(np.float32)


def _arrays(values: Mapping[str, AnyArray], backend: Backend) -> dict[str, Any]:
    return {name: backend.array(value) for name, value in values.items()}
