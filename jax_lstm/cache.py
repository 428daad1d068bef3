"""The cache of verified data sets: no unpacking, no TFDS, and never used when damaged.

A file is one line with the checksum of what follows, then the four IDX arrays, not compressed.
"""

import hashlib
import os
import warnings
from pathlib import Path

import numpy as np

from jax_lstm import idx
from jax_lstm.files import write_atomic
from jax_lstm.sources import FILES, Arrays, DataError


def folder() -> Path:
    """JAX_LSTM_CACHE_DIR, or else the user's cache folder."""
    folder = os.environ.get("JAX_LSTM_CACHE_DIR")
    if not folder:
        import platformdirs

        folder = platformdirs.user_cache_dir("jax-lstm", appauthor=False)
    return Path(folder).expanduser()


def path(name: str) -> Path:
    """The data set's cache file."""
    return folder() / f"{name}-v1.idx"


def read(name: str) -> Arrays | None:
    """The cached arrays, or None where there is no cache.

    Raises:
        DataError: the file is damaged or cannot be read.
    """
    file = path(name)
    try:
        data = np.fromfile(file, np.uint8)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"The cache file {file} cannot be read ({error.strerror}): delete it.") from error
    size = len(_header(name, b""))
    if data[:size].tobytes() != _header(name, data[size:].data):
        raise DataError(f"The cache file {file} is damaged (its checksum does not match): delete it.")
    arrays, rest = [], data[size:]
    for _ in FILES:
        array, rest = idx.decode(rest)
        arrays.append(array)
    return Arrays(*arrays)


def write(name: str, arrays: Arrays) -> None:
    """Keep the arrays for the next start. Where that fails, a warning: a run does not need a cache."""
    file = path(name)
    payload = b"".join(map(idx.encode, arrays))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, _header(name, payload) + payload)
    except OSError as error:
        warnings.warn(
            f"{file} cannot be written ({error.strerror}): going on without a cache. "
            "Name another folder in JAX_LSTM_CACHE_DIR for a faster start.",
            stacklevel=2,
        )


def _header(name: str, payload: bytes | memoryview) -> bytes:
    return f"jax-lstm cache v1 {name} {hashlib.sha256(payload).hexdigest()}\n".encode()
