"""The IDX file format of MNIST: arrays of unsigned bytes.

Two zero bytes, the type (8: unsigned byte), the number of axes, each axis' length as a big-endian uint32,
then the values in C order. Source: http://yann.lecun.com/exdb/mnist/
"""

import math

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


def decode(data: Bytes) -> tuple[Bytes, Bytes]:
    """The IDX array of unsigned bytes that `data` starts with, and the bytes after it; both are views.

    Raises:
        ValueError: not that, or too short.
    """
    if data[:3].tolist() != [0, 0, 8] or data.size < 4:
        raise ValueError(f"expected an IDX header (00 00 08), got {data[:3].tobytes().hex(' ') or 'nothing'}")
    start = 4 + 4 * int(data[3])
    shape = [int.from_bytes(data[i : i + 4].tobytes(), "big") for i in range(4, start, 4)]
    end = start + math.prod(shape)
    if data.size < end:
        raise ValueError(f"expected {end} bytes for shape {shape}, got {data.size}")
    return data[start:end].reshape(shape), data[end:]


def encode(array: Bytes) -> bytes:
    """`array` as an IDX file's bytes: what `decode` reads."""
    header = bytes((0, 0, 8, array.ndim)) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()
