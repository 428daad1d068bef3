"""A data set as uint8 images, labels and splits, and the seeded order of its batches. NumPy only.

`auto` is MNIST where it is at hand or can be fetched within seconds, and otherwise the digits that
scikit-learn brings, so that a run needs no network. `sources.py` knows where MNIST's files come from.
"""

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jax_lstm import cache, sources
from jax_lstm.sources import DataError as DataError

_DIGITS = tuple("0123456789")
_CLASS_NAMES = {
    "mnist": _DIGITS,
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "kmnist": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}
_DIGITS_TEST_FRACTION = 0.2
_DIGITS_TEST_SEED = 0

# One stream of random numbers per purpose, so that no two share their draws.
_SPLIT_STREAM = 1
_ORDER_STREAM = 2


class Dataset(NamedTuple):
    """A data set, each split in the files' order."""

    name: str
    """What it is: mnist, fashion_mnist, kmnist or digits; never auto."""
    train_images: npt.NDArray[np.uint8]
    """[N, 28, 28], 0 (paper) to 255 (ink)"""
    train_labels: npt.NDArray[np.uint8]
    """[N], 0 to 9"""
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.uint8]
    class_names: tuple[str, ...]
    """What the labels 0 to 9 mean."""
    source: str
    """Where it came from, in words."""
    fallback_reason: str | None = None
    """Set only when auto had to take digits: why, and what to do for MNIST."""


class Batches(NamedTuple):
    """One pass over some images: S batches of equal width B', the last one padded."""

    index: npt.NDArray[np.int32]  # type: ignore[assignment]  # hides tuple.index
    """[S, B'], which image; padding repeats a valid index"""
    weight: npt.NDArray[np.float32]
    """[S, B'], 1, or 0 for padding: over the pass every image has weight 1 exactly once"""


def load(name: str, data_dir: str | Path | None = None) -> Dataset:
    """The data set of that name.

    Args:
        name: auto, mnist, fashion_mnist, kmnist or digits.
        data_dir: folder with the four original IDX files, gzipped or not; without it the folder in the
            environment variable JAX_LSTM_DATA_DIR counts, if any. A named folder is the only source: what
            is wrong with it is an error, also for auto, which then means mnist.

    Raises:
        DataError: it cannot be had (said within seconds), or a file is not what it should be.
    """
    if name not in ("auto", "digits", *sources.NAMES):
        raise DataError(
            f"unknown data set {name!r}: --dataset is auto, digits or one of {', '.join(sources.NAMES)}."
        )
    if name == "digits":
        if data_dir is not None:
            raise DataError("--data-dir has no effect with digits, which scikit-learn brings: leave it out.")
        return _load_digits()

    given = data_dir if data_dir is not None else os.environ.get("JAX_LSTM_DATA_DIR") or None
    folder = None if given is None else Path(given).expanduser().absolute()
    if name != "auto":
        return _load_idx(name, folder)
    if folder is not None:
        return _load_idx("mnist", folder)
    try:
        return _load_idx("mnist", None)
    except DataError as error:
        return _load_digits()._replace(
            fallback_reason=f"MNIST is not at hand, so the small bundled digits stand in for it: {error}"
        )


def _load_idx(name: str, folder: Path | None) -> Dataset:
    # A given folder is verified each time, cache or not.
    raw = None if folder is None else sources.read_folder(name, folder)
    damage = ""
    try:
        arrays = cache.read(name)
    except DataError as error:
        arrays, damage = None, str(error)
        warnings.warn(f"{damage} It is not used, but built anew.", stacklevel=2)
    if arrays is None:
        try:
            raw = raw or sources.download(name)
        except DataError as error:
            raise DataError(f"{error} {damage}".rstrip()) from error
        arrays = sources.decode(raw)
        cache.write(name, arrays)
    source = sources.origin(raw) if raw else f"the cache {cache.path(name)}"
    return Dataset(name, *arrays, class_names=_CLASS_NAMES[name], source=source)


def _load_digits() -> Dataset:
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    small = load_digits()
    images, labels = _enlarge(small.images.astype(np.int64)), small.target.astype(np.uint8)
    train, test = split(labels, _DIGITS_TEST_FRACTION, _DIGITS_TEST_SEED)
    return Dataset(
        "digits",
        *(images[train], labels[train], images[test], labels[test]),
        class_names=_DIGITS,
        source="scikit-learn's bundled digits (8×8, scaled up to 28×28)",
    )


def _enlarge(small: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """[N, 8, 8], 0 to 16, to [N, 28, 28], 0 to 255: as in MNIST, 20×20 pixels within a margin of 4.

    Bilinear, pixel centres on pixel centres: pixel p takes its value from 0.4 p - 0.3 of the small image.
    Counted in tenths, all numbers are integers, so that every machine gets the same bytes.
    """
    centre = np.clip(4 * np.arange(20) - 3, 0, 70)
    weight = np.maximum(0, 10 - abs(centre[:, None] - 10 * np.arange(8)))  # [20, 8], rows sum to 10
    large = weight @ small @ weight.T  # 0 to 16 · 10 · 10
    return np.pad((large * 255 + 800) // 1600, ((0, 0), (4, 4), (4, 4))).astype(np.uint8)


def split(
    labels: npt.NDArray[np.uint8], fraction: float, seed: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Hold out a share of the images, of each class alike, for validation.

    round(fraction · N) images are held out: of each class its share rounded down, and one more of those
    classes that lost most by it.

    Args:
        labels: [N] classes.
        fraction: 0 (nothing is held out) to below 1.
        seed: 0 or more; equal arguments give equal splits.

    Returns:
        Indices of the images to train on and of those held out, each sorted.

    Raises:
        DataError: a fraction out of its range, or one that leaves a class without images on either side.
    """
    if not 0 <= fraction < 1:
        raise DataError(f"--validation-fraction must be from 0 to below 1, got {fraction}.")
    held_out = np.zeros(len(labels), bool)
    if fraction > 0:
        classes, sizes = np.unique(labels, return_counts=True)
        counts = np.floor(fraction * sizes).astype(int)
        lost_most = np.argsort(counts - fraction * sizes, kind="stable")
        counts[lost_most[: round(fraction * len(labels)) - counts.sum()]] += 1
        for label, size, count in zip(classes, sizes, counts, strict=True):
            if not 0 < count < size:
                raise DataError(
                    f"--validation-fraction {fraction} holds out {count} of the {size} images of class "
                    f"{label}: at least one must be held out and one left. Choose another fraction."
                )
        order = _rng(seed, 0, _SPLIT_STREAM).permutation(len(labels))
        for label, count in zip(classes, counts, strict=True):
            held_out[order[labels[order] == label][:count]] = True
    return np.flatnonzero(~held_out).astype(np.int32), np.flatnonzero(held_out).astype(np.int32)


def epoch_batches(
    indices: npt.NDArray[np.int32], batch_size: int, seed: int, epoch: int, pad_to: int = 1
) -> Batches:
    """The images in the order of one epoch: a permutation that seed and epoch alone decide.

    Args:
        indices: [N] the images to go over.
        batch_size: images per batch; the last batch of the epoch holds the rest.
        seed: 0 or more.
        epoch: 0 or more.
        pad_to: number of devices that share a batch; B' is batch_size rounded up to a multiple of it.
    """
    return sequential_batches(_rng(seed, epoch, _ORDER_STREAM).permutation(indices), batch_size, pad_to)


def sequential_batches(indices: npt.NDArray[np.int32], batch_size: int, pad_to: int = 1) -> Batches:
    """The images in the order given, for evaluation; else as `epoch_batches`."""
    if batch_size < 1 or pad_to < 1:
        raise ValueError(f"batch_size and pad_to must be 1 or more, got {batch_size} and {pad_to}")
    steps = -(-len(indices) // batch_size)
    padding = steps * batch_size - len(indices)
    shape, margin = (steps, batch_size), ((0, 0), (0, -batch_size % pad_to))
    index = np.append(indices, np.repeat(indices[:1], padding)).astype(np.int32).reshape(shape)
    weight = np.append(np.ones(len(indices)), np.zeros(padding)).astype(np.float32).reshape(shape)
    return Batches(np.pad(index, margin, "edge"), np.pad(weight, margin))


def _rng(seed: int, epoch: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch, stream))))
