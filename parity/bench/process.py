"""A contender's process, as the one that takes the times sees it."""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

LONGEST = 240.0
"""Seconds that an answer may take: torch.compile of 784 unrolled time steps has no end."""


# parity sets the first for itself, and contenders run as their users run them; with the other the first
# step would not compile
_NOT_INHERITED = ("OMP_WAIT_POLICY", "JAX_COMPILATION_CACHE_DIR")

PATIENCE = 2.0
"""Seconds that a worker has to end in."""


class Dropped(Exception):
    """A contender that cannot do what is asked: why."""


class Process:
    """A worker.py and the pipe to it; a context that ends it.

    Attributes:
        import_seconds: from its start until its framework was imported.
        imported_bytes: its memory then.
    """

    def __init__(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Start it.

        Args:
            name: of a contender, or of a library's products.
            environment: variables to set besides.

        Raises:
            Dropped: its framework cannot be imported.
        """
        begin = time.perf_counter()
        inherited = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "parity.bench.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=inherited | dict(environment or {}),
        )
        self.imported_bytes = int(self._answer()["bytes"])
        self.import_seconds = time.perf_counter() - begin

    def ask(self, question: str, **arguments: Any) -> dict[str, Any]:
        """The answer to a question, which is a method of worker.py's Worker.

        Raises:
            Dropped: it failed, or took longer than `LONGEST`.
        """
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({"ask": question, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Dropped("its process has ended") from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(LONGEST):
                self._process.kill()
                raise Dropped(f"no answer within {LONGEST:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise Dropped(f"its process ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Dropped(answer["error"])
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        # given time to clear up behind itself, but not to finish compiling
        with suppress(subprocess.TimeoutExpired, BrokenPipeError):
            self._process.communicate(timeout=PATIENCE)
        self._process.kill()
        self._process.communicate()
