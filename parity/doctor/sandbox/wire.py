"""Messages between the doctor and the process with the student's code: JSON and arrays, never pickles."""

import json
import math
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

LARGEST = 2**30
"""Bytes of a message that are believed."""

_LENGTHS = struct.Struct("<QQ")


class Garbled(Exception):
    """What came is no message."""


class Channel:
    """One end of the connection."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(
        self,
        header: Mapping[str, Any],
        arrays: Mapping[str, Array] | None = None,
        *,
        within: float | None = None,
    ) -> None:
        """Send a header and arrays.

        Args:
            within: seconds.

        Raises:
            TimeoutError: the other end does not take it.
            OSError: the other end is gone.
        """
        held = {name: np.ascontiguousarray(a, np.float64) for name, a in (arrays or {}).items()}
        shapes = [[name, list(np.shape(a))] for name, a in (arrays or {}).items()]
        head = json.dumps({**header, "arrays": shapes}).encode()
        body = b"".join(a.tobytes() for a in held.values())
        self._end.settimeout(within)
        self._end.sendall(_LENGTHS.pack(len(head), len(body)) + head + body)

    def receive(self, *, within: float | None = None) -> tuple[dict[str, Any], dict[str, Array]]:
        """The next message: its header and arrays.

        Raises:
            TimeoutError: none came in so many seconds.
            EOFError: the other end is gone.
            Garbled: what came is no message.
        """
        until = math.inf if within is None else time.monotonic() + within
        head_size, body_size = _LENGTHS.unpack(self._exactly(_LENGTHS.size, until))
        if head_size + body_size > LARGEST:
            raise Garbled(f"{head_size + body_size:,} bytes were announced")
        header, body = self._exactly(head_size, until), self._exactly(body_size, until)
        try:
            head: dict[str, Any] = json.loads(header)
            return head, _arrays(head.pop("arrays"), body)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Garbled(str(error)) from None

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _exactly(self, size: int, until: float) -> bytes:
        parts = []
        while size:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._end.settimeout(None if math.isinf(until) else left)
            try:
                part = self._end.recv(min(size, 2**20))
            except ConnectionError:
                part = b""
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _arrays(shapes: list[tuple[str, list[int]]], body: bytes) -> dict[str, Array]:
    numbers, start, arrays = np.frombuffer(body, np.float64), 0, {}
    for name, shape in shapes:
        size = math.prod(shape)
        arrays[name] = numbers[start : start + size].reshape(shape).copy()
        start += size
    return arrays
