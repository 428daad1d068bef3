"""MNIST and its two namesakes: from the four original IDX files, verified, to NumPy arrays.

tensorflow-datasets (TFDS) gives the addresses, the registered checksums and the download manager. Its
builders stay unused: without TensorFlow they fail at the gzip step, and they trust whatever lies in their
`extracted/`. Here a raw file is hashed at every use, and NumPy reads it in the file's own order. What TFDS
downloaded before is used again; what it prepared (array_record, tfrecord) is not, for that is PNG images in
another order.
"""

import base64
import contextlib
import gzip
import hashlib
import importlib.util
import os
import tempfile
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from jax_lstm import idx
from jax_lstm.errors import UserError
from jax_lstm.idx import Bytes

NAMES = ("mnist", "fashion_mnist", "kmnist")
# The same four names in all three sets: only a checksum tells whose file it is.
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# sha256 of the unpacked files. TFDS registers the gzipped ones only, and only MNIST's were at hand.
PLAIN_SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
}

_PROBE_SECONDS = 3.0
_SOCKET_SECONDS = (3.0, 10.0)  # to connect, and between two packets
_ELSE = "give a folder with the four original files by --data-dir or JAX_LSTM_DATA_DIR"


class DataError(UserError):
    """The data cannot be had or trusted; the message says what was expected, what came, and what to do."""


class Arrays(NamedTuple):
    """The four files' content, in the files' order."""

    train_images: Bytes
    """[N, 28, 28], 0 to 255"""
    train_labels: Bytes
    """[N], 0 to 9"""
    test_images: Bytes
    test_labels: Bytes


class Registered(NamedTuple):
    """What TFDS registers about one gzipped file."""

    url: str
    size: int
    sha256: str


class RawFile(NamedTuple):
    """A verified file as it came, gzipped or not, and where it came from."""

    where: str
    data: bytes


# Which file is it?


def registered(name: str) -> dict[str, Registered]:
    """TFDS's record of the data set's four files, read without the half second of importing TFDS.

    Raises:
        DataError: TFDS is missing, or keeps its checksums elsewhere.
    """
    spec = importlib.util.find_spec("tensorflow_datasets")
    homes = [Path(home) for home in (spec and spec.submodule_search_locations) or ()]
    for home in homes:
        # TFDS moves its data sets, one by one, from the first place to the second.
        for path in (home / "url_checksums" / f"{name}.txt", home / "datasets" / name / "checksums.tsv"):
            if path.is_file():
                rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line]
                files = {url.rsplit("/", 1)[-1]: (url, int(size), sha256) for url, size, sha256, *_ in rows}
                return {file: Registered(*files[f"{file}.gz"]) for file in FILES}
    raise DataError(
        f"no registered checksums of {name}: expected tensorflow-datasets with url_checksums/{name}.txt, "
        f"found {homes[0] if homes else 'no such package'}. Run: pip install tensorflow-datasets==4.9.10"
    )


def verify(where: str | Path, data: bytes, name: str, file_name: str) -> RawFile:
    """`data` as the data set's file of that name (with or without .gz), if it is that to the last bit.

    Raises:
        DataError: it is another file; the message says which, where that is known.
    """
    known = {r.sha256: (n, f"{file}.gz") for n in NAMES for file, r in registered(n).items()}
    known |= {digest: (n, file) for n, files in PLAIN_SHA256.items() for file, digest in files.items()}
    digest = hashlib.sha256(data).hexdigest()
    came = known.get(digest)
    if came == (name, file_name):
        return RawFile(str(where), data)

    expected = f"expected {name}'s original {file_name}"
    if came:
        also = "" if came[0] == name else f", or use --dataset {came[0]}"
        raise DataError(f"{where}: {expected}, but this is {came[0]}'s {came[1]}. Give the right file{also}.")
    if (name, file_name) not in known.values():
        raise DataError(
            f"{where}: only the gzipped files of {name} have a known checksum, so this one cannot be "
            f"verified. Give the original {file_name}.gz instead."
        )
    if file_name.endswith(".gz"):
        expected += f" of {registered(name)[file_name.removesuffix('.gz')].size:,} bytes"
    raise DataError(
        f"{where}: {expected}, but these {len(data):,} bytes have an unknown sha256 ({digest[:16]}…): "
        "damaged, cut short, or not the original. Get it again."
    )


# Where the files come from


def read_folder(name: str, folder: Path) -> dict[str, RawFile]:
    """The four files, verified, from a folder that the user named; where both lie there, the .gz counts.

    Raises:
        DataError: no such folder, a file missing, or a file that is not the original.
    """
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(
            f"{folder} {problem}: --data-dir or JAX_LSTM_DATA_DIR must name a folder with {name}."
        )
    raw = {}
    for file in FILES:
        path = next((p for p in (folder / f"{file}.gz", folder / file) if p.exists()), None)
        if path is None:
            raise DataError(
                f"{folder / file}.gz is missing (so is {file}): expected {name}'s four original files, "
                f"gzipped or not: {', '.join(FILES)}. Add it, or name no folder, to have {name} downloaded."
            )
        raw[file] = verify(path, _read(path), name, path.name)
    return raw


def download(name: str) -> dict[str, RawFile]:
    """The four files, verified: those that TFDS fetched before, the others by its download manager.

    Raises:
        DataError: no connection, no such file there, or not the registered file.
    """
    files = registered(name)
    raw = {file: found for file in FILES if (found := _fetched_before(name, file, files[file].sha256))}
    missing = {file: files[file].url for file in FILES if file not in raw}
    if missing:
        _probe(name, next(iter(missing.values())))
        # ignore_cleanup_errors: after Ctrl-C one of TFDS's threads may still be writing.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for file, path in _download_with_tfds(name, missing, folder).items():
                raw[file] = verify(missing[file], _read(path), name, f"{file}.gz")
    return raw


def origin(raw: dict[str, RawFile]) -> str:
    """The folders or addresses that the files came from, in words."""
    return ", ".join(sorted({os.path.dirname(file.where) for file in raw.values()}))


def _fetched_before(name: str, file: str, sha256: str) -> RawFile | None:
    # TFDS names a download by its address, cut to length, and its sha256 in base64; older versions had no
    # folder per data set.
    token = base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
    folder = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser() / "downloads"
    for path in (*folder.glob(f"{name}/*{token}.gz"), *folder.glob(f"*{token}.gz")):
        try:
            return verify(path, _read(path), name, f"{file}.gz")
        except DataError as error:
            warnings.warn(f"{error} It is not used.", stacklevel=5)
    return None


def _probe(name: str, url: str) -> None:
    import requests

    problem = ["no answer"]

    def ask() -> None:
        try:
            requests.head(url, timeout=_PROBE_SECONDS)
            problem.clear()
        except Exception as error:
            problem[0] = type(error).__name__

    # A thread, because no timeout bounds the look-up of the host's address.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    if problem:
        raise DataError(
            f"{name} cannot be downloaded: {urlsplit(url).netloc} was not reached within "
            f"{_PROBE_SECONDS:.0f} s ({problem[0]}). "
            f"Connect to the internet and use --dataset {name}, or {_ELSE}."
        )


def _download_with_tfds(name: str, urls: dict[str, str], folder: str) -> dict[str, Path]:
    try:
        import tensorflow_datasets as tfds  # type: ignore[import-untyped]

        with _impatient():
            manager = tfds.download.DownloadManager(
                download_dir=folder, dataset_name=name, force_checksums_validation=True
            )
            # One by one: given all at once, the others would still be written when one has failed.
            return {file: Path(manager.download(url)) for file, url in urls.items()}
    except Exception as error:  # TFDS passes on whatever its network library raises
        raise DataError(
            f"{name} cannot be downloaded: {type(error).__name__}: {' '.join(str(error).split())} Try again "
            f"later, or from another network (a sign-in page may stand in for the files), or {_ELSE}."
        ) from error


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Within it `requests` gives up in seconds: TFDS sets no timeout, and its ten retries take 205 s."""
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def send_impatiently(self: HTTPAdapter, request: Any, **options: Any) -> Any:
        self.max_retries = self.max_retries.new(total=1)
        return send(self, request, **(options | {"timeout": _SOCKET_SECONDS}))

    HTTPAdapter.send = send_impatiently  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        HTTPAdapter.send = send  # type: ignore[method-assign]


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Mend that, or {_ELSE}.") from error


# From bytes to arrays


def decode(raw: dict[str, RawFile]) -> Arrays:
    """The arrays in the four files.

    Raises:
        DataError: a file whose content is not images of 28×28 pixels, or labels 0 to 9, one per image.
    """
    arrays = Arrays(*(_decode_file(raw[file]) for file in FILES))
    for i in (0, 2):
        images, labels = arrays[i], arrays[i + 1]
        images_at, labels_at = raw[FILES[i]].where, raw[FILES[i + 1]].where
        if images.shape[1:] != (28, 28) or not len(images):
            raise DataError(f"{images_at}: expected images [N, 28, 28], got {list(images.shape)}.")
        if labels.shape != images.shape[:1]:
            raise DataError(f"{labels_at}: expected {len(images)} labels, got {list(labels.shape)}.")
        if labels.max() > 9:
            raise DataError(f"{labels_at}: expected labels 0 to 9, got {labels.max()}.")
    return arrays


def _decode_file(file: RawFile) -> Bytes:
    data = file.data
    try:
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        array, rest = idx.decode(np.frombuffer(bytearray(data), np.uint8))
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{file.where} is damaged: {error}. Get it again.") from error
    if rest.size:
        raise DataError(f"{file.where} is damaged: {rest.size} bytes too many. Get it again.")
    return array
