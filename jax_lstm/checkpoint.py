"""Checkpoints to resume from, and the weights file to share: whole and unchanged, or an error.

Neither Orbax nor safetensors notices a flipped bit in the numbers, so both forms carry our own SHA-256.
The digests guard against accidents, not against forgery; nothing here ever loads a pickle.

A checkpoint is a folder, `<run>/checkpoints/00000042` for step 42:

    state/        the arrays, as Orbax writes them
    meta.json     the leaves' names, types and shapes, and the caller's own values
    SHA256SUMS    one line per file, as `sha256sum -c` reads it; written last: without it, it is no checkpoint
"""

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from jax_lstm.errors import UserError
from jax_lstm.files import sha256_of, sync, write_atomic

PyTree = Any

# A checkpoint is written under its `.new-…` name, and takes the plain one once it stands alone.
_NAME = re.compile(r"([0-9]{8,})(\.new-[0-9a-f]{8})?")
_STATE, _META, _SUMS = "state", "meta.json", "SHA256SUMS"
_DIGEST = "sha256"
_ADVICE = "put back a copy, or delete {} to start the run from its beginning"


class CheckpointError(UserError):
    """A checkpoint or weights file that cannot be written, read or trusted; the message says what to do."""


def save(folder: Path, step: int, state: PyTree, meta: dict[str, Any]) -> None:
    """Write a checkpoint that replaces those in `folder`; the last one holds until this one is complete.

    Safe against a kill or KeyboardInterrupt at any moment: what an interrupted save leaves behind is
    ignored by `restore` and removed by the next `save`. One process at a time may save to a folder.

    Args:
        folder: the run's checkpoint folder; made if need be. Names of other forms in it are left alone.
        step: number of the step, 0 or more; it may be one that was saved before.
        state: pytree of JAX arrays of any dtype, none of size 0, on one or several devices.
        meta: JSON-able values that belong to the state.

    Raises:
        CheckpointError: the disk is full or refuses; the last checkpoint is unharmed.
    """
    folder = folder.absolute()  # as Orbax wants it
    record = json.dumps({"leaves": _leaves(state), "meta": meta}, indent=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _keep_only(folder, _newest(folder))
        # Never an earlier save's name: nothing that one left behind, or still writes, may get in here.
        new = folder / f"{step:08d}.new-{secrets.token_hex(4)}"
        new.mkdir()
        write_atomic(new / _META, record)
        # A KeyboardInterrupt reaches the main thread only: it waits here until Orbax is through, which
        # would otherwise go on writing, and print the tracebacks of its threads.
        with _orbax() as orbax, ThreadPoolExecutor(1) as worker:
            worker.submit(orbax.save, new / _STATE, _single(state)).result()
        for path in (*new.rglob("*"), folder):
            sync(path)
        write_atomic(new / _SUMS, _sums(new))
        _keep_only(folder, new)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{folder}: the checkpoint of step {step} could not be written ({error}); "
            "make room or allow writing there, then resume from the one before"
        ) from error


def restore(folder: Path, like: PyTree) -> tuple[PyTree, dict[str, Any]] | None:
    """The newest complete checkpoint, bit for bit as it was saved.

    Args:
        folder: the run's checkpoint folder; it need not exist.
        like: pytree of arrays, or of `jax.ShapeDtypeStruct`s with shardings: the structure, shapes and
            dtypes that are expected, and the shardings that the result gets.

    Returns:
        The state and its meta, or None where there is no complete checkpoint.

    Raises:
        CheckpointError: a file changed, missing or extra (an older checkpoint is never taken in its
            place), or a state other than `like`; the message names the file, or the first leaf.
    """
    folder, wanted = folder.absolute(), _leaves(like)
    try:
        if not folder.exists() or (newest := _newest(folder)) is None:
            return None
        _verify(newest)
        record = json.loads((newest / _META).read_bytes())
        _compare(newest, record["leaves"], wanted)
        with _orbax() as orbax:
            return orbax.restore(newest / _STATE, like), record["meta"]
    except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder}: holds no checkpoint that can be read ({error}); {_ADVICE.format(folder)}"
        ) from error


def _newest(folder: Path) -> Path | None:
    """The complete checkpoint of the highest step; of the same step, the one still named `.new-…`."""
    complete = (path for path in _checkpoints(folder) if (path / _SUMS).exists())
    return max(complete, key=lambda path: (int(path.name.partition(".")[0]), path.name), default=None)


def _checkpoints(folder: Path) -> list[Path]:
    """Whole and partial ones."""
    return [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]


def _keep_only(folder: Path, keep: Path | None) -> None:
    """Remove all checkpoints but `keep`, which then takes its plain name."""
    for path in _checkpoints(folder):
        if path != keep:
            (path / _SUMS).unlink(missing_ok=True)  # first, so that half of one never counts as complete
            shutil.rmtree(path, ignore_errors=True)
    if keep:
        keep.rename(folder / keep.name.partition(".")[0])
        sync(folder)


def _sums(path: Path) -> str:
    """The text of SHA256SUMS for the files that are there now."""
    sums = {}
    for file in path.rglob("*"):
        if file.is_symlink() or not (file.is_file() or file.is_dir()):
            raise CheckpointError(f"{file}: not a plain file; {_ADVICE.format(path)}")
        if file.is_file() and file != path / _SUMS:
            sums[file.relative_to(path).as_posix()] = sha256_of(file)
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def _verify(path: Path) -> None:
    """Raise CheckpointError, naming a file, unless SHA256SUMS is to the byte what it would be now."""
    recorded, actual = os.fsdecode((path / _SUMS).read_bytes()), _sums(path)
    if recorded == actual:
        return
    before, now = ({line[66:]: line[:66] for line in text.splitlines()} for text in (recorded, actual))
    name = next((name for name in sorted(before | now) if before.get(name) != now.get(name)), _SUMS)
    what = "changed" if name in before and name in now else "extra" if name in now else "missing"
    raise CheckpointError(f"{path / name}: {what} since the checkpoint was written; {_ADVICE.format(path)}")


def _compare(path: Path, found: list[str], wanted: list[str]) -> None:
    for one, other in zip_longest(found, wanted, fillvalue="nothing more"):
        if one != other:
            raise CheckpointError(
                f"{path}: made with other settings: it holds {one} where this run has {other}; "
                "resume with the settings it was made with, or start in a new run folder"
            )


def _leaves(tree: PyTree) -> list[str]:
    """One line per leaf, in order: `optimizer.0.mu.W_out float32[10,32]`."""
    import jax

    return [
        f"{jax.tree_util.keystr(path, simple=True, separator='.')} {x.dtype}[{','.join(map(str, x.shape))}]"
        for path, x in jax.tree_util.tree_leaves_with_path(tree)
    ]


@contextmanager
def _orbax() -> Iterator[Any]:
    """Orbax's blocking checkpointer; what it logs is in its exceptions, too, and stays unprinted."""
    import orbax.checkpoint as ocp

    log = logging.getLogger("absl")
    before, log.disabled = log.disabled, True
    try:
        with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
            yield checkpointer
    finally:
        log.disabled = before


def save_weights(path: Path, weights: Mapping[str, np.ndarray], header: Mapping[str, str]) -> None:
    """Write a `.safetensors` file atomically, with a digest over all of its content.

    Args:
        path: the file; what it held is replaced.
        weights: name → float32 or float64 array (the weight contract of `cell.py`), in any memory layout.
        header: text values that describe the weights. `sha256` is added here.

    Raises:
        ValueError: an array of another dtype, or a header that already has `sha256`.
    """
    from safetensors.numpy import save as to_bytes

    if _DIGEST in header:
        raise ValueError(f"the header's {_DIGEST!r} is computed here; leave it out")
    for name, weight in weights.items():
        if weight.dtype.name not in ("float32", "float64"):
            raise ValueError(f"{name} must be float32 or float64, got {weight.dtype}")
    # safetensors writes an array's memory as it lies, whatever the strides say.
    plain = {name: _little_endian(weight) for name, weight in weights.items()}
    write_atomic(path, to_bytes(plain, {**header, _DIGEST: _digest(plain, header)}))


def load_weights(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """What `save_weights` wrote: the arrays, and the header without its digest.

    Raises:
        CheckpointError: absent, not such a file, cut off, or changed since it was written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if not path.is_file():
            raise CheckpointError(f"{path}: {'not a plain file' if path.exists() else 'no such file'}")
        with safe_open(path, framework="np") as file:
            header = dict(file.metadata() or {})
            for name in file.keys():  # noqa: SIM118 - not a dict: it has no iterator
                if (dtype := file.get_slice(name).get_dtype()) not in ("F32", "F64"):
                    raise CheckpointError(f"{path}: {name} must be F32 or F64, got {dtype}")
            weights = file.get_tensors()
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: no whole safetensors file that can be read ({error}); copy or export it again"
        ) from error
    digest = header.pop(_DIGEST, None)
    if digest is None:
        raise CheckpointError(
            f"{path}: its header has no {_DIGEST}, so it was not written by this project; "
            "put other systems' weights into the canonical form, and write them with jax_lstm.save_weights"
        )
    if digest != _digest(weights, header):
        raise CheckpointError(
            f"{path}: changed since it was written ({_DIGEST} differs); copy or export it again"
        )
    return weights, header


def _single(state: PyTree) -> PyTree:
    """The state with one copy of each array: from several, Orbax takes a part each, and compiles the cuts."""
    import jax

    def single(leaf: Any) -> Any:
        whole = isinstance(leaf, jax.Array) and leaf.is_fully_replicated
        return leaf.addressable_data(0) if whole else leaf

    return jax.tree.map(single, state)


def _little_endian(array: np.ndarray) -> np.ndarray:
    """The same values, contiguous in C order, little-endian."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _digest(weights: Mapping[str, np.ndarray], header: Mapping[str, str]) -> str:
    """SHA-256 over the header, then all names, dtypes and shapes, then the arrays' bytes, by name."""
    arrays = sorted(weights.items())
    shapes = [(name, array.dtype.name, array.shape) for name, array in arrays]
    digest = hashlib.sha256(json.dumps([sorted(header.items()), shapes]).encode())
    for _, array in arrays:
        digest.update(_little_endian(array).tobytes())
    return digest.hexdigest()
