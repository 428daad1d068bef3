import contextlib
import gzip
import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jax_lstm import cache, data, idx, sources
from jax_lstm.data import DataError
from jax_lstm.sources import FILES

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = FILES
REPOSITORY = Path(data.__file__).parents[1]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of the test's own, and no network but this machine."""
    monkeypatch.setenv("JAX_LSTM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for variable in ("JAX_LSTM_DATA_DIR", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(variable, raising=False)
    look_up = socket.getaddrinfo

    def look_up_here(host: str, *args: Any, **options: Any) -> Any:
        if host != "127.0.0.1":
            raise socket.gaierror(f"{host} is out of reach in tests")
        return look_up(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)


def packed(array: np.ndarray) -> bytes:
    return gzip.compress(idx.encode(array), mtime=0)


class Originals:
    """Three small data sets with the real files' names, registered as TFDS registers the real ones."""

    def __init__(self, root: Path, address: str) -> None:
        self.home = root / "packages" / "tensorflow_datasets"
        self.address = address
        (self.home / "url_checksums").mkdir(parents=True)
        (self.home / "__init__.py").write_text("raise RuntimeError('TFDS was imported')")
        rng = np.random.default_rng(0)
        for name in sources.NAMES:
            (root / name).mkdir()
            for file, shape in zip(FILES, ((30, 28, 28), (30,), (20, 28, 28), (20,)), strict=True):
                array = rng.integers(0, 256 if len(shape) > 1 else 10, shape, np.uint8)
                (root / name / f"{file}.gz").write_bytes(packed(array))
            self.register(name, root / name)

    def url(self, name: str, file: str) -> str:
        return f"{self.address}/{name}/{file}.gz"

    def register(self, name: str, folder: Path) -> None:
        rows = []
        for file in FILES:
            content = (folder / f"{file}.gz").read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            rows.append(f"{self.url(name, file)}\t{len(content)}\t{digest}\t{file}.gz\n")
        (self.home / "url_checksums" / f"{name}.txt").write_text("".join(rows))


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which this machine serves it."""
    root = tmp_path_factory.mktemp("web")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(root))

        def do_GET(self) -> None:
            if (root / "silent").exists():
                time.sleep(4)
            super().do_GET()

        def copyfile(self, *args: Any) -> None:
            with contextlib.suppress(ConnectionError):  # the test hung up
                super().copyfile(*args)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield root, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def originals(web: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Originals]:
    """The small data sets, served, and in the place of TFDS's registered checksums."""
    root, address = web
    made = Originals(root, address)
    find_spec = sources.importlib.util.find_spec  # type: ignore[attr-defined]
    spec = SimpleNamespace(submodule_search_locations=[str(made.home)])
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *args: spec if name == "tensorflow_datasets" else find_spec(name, *args),
    )
    yield made
    for entry in root.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@pytest.fixture
def folder(originals: Originals, web: tuple[Path, str], tmp_path: Path) -> Path:
    """A user's copy of the small mnist's four files."""
    return Path(shutil.copytree(web[0] / "mnist", tmp_path / "given"))


def unpack(folder: Path, file: str, monkeypatch: pytest.MonkeyPatch | None = None) -> Path:
    """Replace the .gz by the plain file; with monkeypatch, make its checksum known."""
    content = gzip.decompress((folder / f"{file}.gz").read_bytes())
    (folder / f"{file}.gz").unlink()
    (folder / file).write_bytes(content)
    if monkeypatch:
        monkeypatch.setitem(sources.PLAIN_SHA256["mnist"], file, hashlib.sha256(content).hexdigest())
    return folder / file


def arrays_equal(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a[1:5], b[1:5], strict=True))


# The IDX format


@pytest.mark.parametrize("shape", [(3, 28, 28), (5,), (0,), (2, 3)])
def test_idx_round_trip(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    encoded = idx.encode(array) + b"more"
    decoded, rest = idx.decode(np.frombuffer(encoded, np.uint8))
    assert np.array_equal(decoded, array)
    assert decoded.shape == shape
    assert rest.tobytes() == b"more"


def test_idx_is_the_published_format() -> None:
    assert idx.encode(np.array([7, 9], np.uint8)) == bytes.fromhex("00000801 00000002 0709")


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x08", b"\0\0\x08\x03\0\0", b"\0\0\x0d\x01\0\0\0\0", b"\0\0\x08\x01\0\0\0\x02\1"]
)
def test_idx_refuses_what_is_not_whole(content: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        idx.decode(np.frombuffer(content, np.uint8))


# A folder that the user names


@pytest.mark.parametrize("name", sources.NAMES)
def test_a_folder_gives_the_files_content_in_their_order(
    originals: Originals, web: tuple[Path, str], name: str
) -> None:
    dataset = data.load(name, web[0] / name)
    assert dataset.name == name
    assert dataset.fallback_reason is None
    assert dataset.source == str(web[0] / name)
    assert len(dataset.class_names) == 10
    for array, file in zip(dataset[1:5], FILES, strict=True):
        content = gzip.decompress((web[0] / name / f"{file}.gz").read_bytes())
        assert content.endswith(array.tobytes())
        assert array.dtype == np.uint8
        assert array.flags.writeable  # torch.from_numpy warns of others


def test_the_option_beats_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_LSTM_DATA_DIR", str(folder))
    assert data.load("auto").name == "mnist"
    monkeypatch.setenv("JAX_LSTM_DATA_DIR", "/no/such/folder")
    assert data.load("mnist", folder).name == "mnist"
    with pytest.raises(DataError, match="/no/such/folder does not exist"):
        data.load("auto")


def test_plain_files_with_a_known_checksum_do_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gzipped = data.load("mnist", folder)
    cache.path("mnist").unlink()
    for file in FILES:
        unpack(folder, file, monkeypatch)
    assert arrays_equal(data.load("mnist", folder), gzipped)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def swap(folder: Path, a: str, b: str) -> None:
    (folder / f"{a}.gz").rename(folder / "other")
    (folder / f"{b}.gz").rename(folder / f"{a}.gz")
    (folder / "other").rename(folder / f"{b}.gz")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (
        lambda f: (f / f"{TEST_IMAGES}.gz").write_bytes((f / f"{TEST_IMAGES}.gz").read_bytes()[:-9]),
        f"{TEST_IMAGES}.gz: expected mnist's original .* unknown sha256",
    ),
    "bit flipped": (lambda f: flip(f / f"{TRAIN_IMAGES}.gz", 5000), f"{TRAIN_IMAGES}.gz: .* unknown sha256"),
    "header flipped": (lambda f: flip(f / f"{TRAIN_LABELS}.gz", 4), f"{TRAIN_LABELS}.gz: .* unknown sha256"),
    "empty": (lambda f: (f / f"{TEST_LABELS}.gz").write_bytes(b""), f"{TEST_LABELS}.gz: .* these 0 bytes"),
    "packed anew": (
        lambda f: (f / f"{TEST_LABELS}.gz").write_bytes(packed(np.zeros(20, np.uint8))),
        f"{TEST_LABELS}.gz: .* unknown sha256",
    ),
    "images and labels swapped": (
        lambda f: swap(f, TRAIN_IMAGES, TRAIN_LABELS),
        f"{TRAIN_IMAGES}.gz: expected mnist's original .*, but this is mnist's {TRAIN_LABELS}.gz",
    ),
    "train and test images swapped": (
        lambda f: swap(f, TRAIN_IMAGES, TEST_IMAGES),
        f"but this is mnist's {TEST_IMAGES}.gz. Give the right file.$",
    ),
    "train and test labels swapped": (
        lambda f: swap(f, TRAIN_LABELS, TEST_LABELS),
        f"but this is mnist's {TEST_LABELS}.gz",
    ),
    "another data set's": (
        lambda f: shutil.copy(f.parent / "fashion" / f"{TEST_IMAGES}.gz", f),
        f"{TEST_IMAGES}.gz: .* but this is fashion_mnist's {TEST_IMAGES}.gz.* or use --dataset fashion_mnist",
    ),
    "missing": (
        lambda f: (f / f"{TEST_LABELS}.gz").unlink(),
        f"{TEST_LABELS}.gz is missing .* {TRAIN_IMAGES}, ",
    ),
    "folder in a file's place": (
        lambda f: put_folder(f / f"{TEST_LABELS}.gz"),
        f"{TEST_LABELS}.gz cannot be read",
    ),
    "plain, cut short": (
        lambda f: (p := unpack(f, TEST_IMAGES)).write_bytes(p.read_bytes()[:-1]),
        f"{TEST_IMAGES}: .* unknown sha256",
    ),
    "plain, of unknown content": (lambda f: unpack(f, TEST_IMAGES), f"{TEST_IMAGES}: .* unknown sha256"),
}


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("name", ["mnist", "auto"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_named(
    folder: Path, web: tuple[Path, str], tmp_path: Path, fault: str, name: str, cached: bool
) -> None:
    shutil.copytree(web[0] / "fashion_mnist", tmp_path / "fashion")
    if cached:
        data.load("mnist", folder)
    plant, message = FAULTS[fault]
    plant(folder)
    with pytest.raises(DataError, match=message) as caught:
        data.load(name, folder)
    assert str(folder) in str(caught.value)


def test_plain_files_without_a_known_checksum_are_refused(
    originals: Originals, web: tuple[Path, str]
) -> None:
    unpack(web[0] / "kmnist", TEST_LABELS)
    with pytest.raises(DataError, match=rf"{TEST_LABELS}: .*cannot be verified.*{TEST_LABELS}\.gz instead"):
        data.load("kmnist", web[0] / "kmnist")


def test_plain_files_of_another_data_set_are_recognised(
    originals: Originals, web: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(web[0] / "mnist", TRAIN_IMAGES, monkeypatch)
    with pytest.raises(
        DataError, match=f"but this is mnist's {TRAIN_IMAGES}. Give .* or use --dataset mnist"
    ):
        data.load("kmnist", web[0] / "mnist")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (TRAIN_IMAGES, packed(np.zeros((30, 28, 27), np.uint8)), r"expected images \[N, 28, 28\]"),
        (TRAIN_IMAGES, packed(np.zeros(30, np.uint8)), r"expected images \[N, 28, 28\]"),
        (TEST_IMAGES, packed(np.zeros((0, 28, 28), np.uint8)), r"expected images \[N, 28, 28\]"),
        (TRAIN_LABELS, packed(np.zeros(29, np.uint8)), "expected 30 labels"),
        (TEST_LABELS, packed(np.full(20, 10, np.uint8)), "expected labels 0 to 9, got 10"),
        (TRAIN_LABELS, gzip.compress(idx.encode(np.zeros(30, np.uint8)) + b"\0"), "1 bytes too many"),
        (TRAIN_LABELS, gzip.compress(idx.encode(np.zeros(30, np.uint8))[:-1]), "is damaged"),
        (TRAIN_LABELS, gzip.compress(b"no IDX"), "is damaged"),
        (TRAIN_LABELS, packed(np.zeros(30, np.uint8))[:-9], "is damaged"),
        (TRAIN_LABELS, b"neither", "is damaged"),
    ],
    ids=[
        "27 wide",
        "1 axis",
        "none",
        "too few",
        "a label 10",
        "too long",
        "IDX cut",
        "no IDX",
        "gzip cut",
        "text",
    ],
)
def test_a_wrong_content_is_seen_even_under_a_right_checksum(
    originals: Originals, folder: Path, file: str, content: bytes, message: str
) -> None:
    (folder / f"{file}.gz").write_bytes(content)
    originals.register("mnist", folder)
    with pytest.raises(DataError, match=f"{file}.gz.*{message}"):
        data.load("mnist", folder)
    assert not cache.path("mnist").exists()


def test_a_named_folder_must_be_one(folder: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist: --data-dir or JAX_LSTM_DATA_DIR must"):
        data.load("auto", folder / "nowhere")
    with pytest.raises(DataError, match=f"{TRAIN_IMAGES}.gz is not a folder"):
        data.load("mnist", folder / f"{TRAIN_IMAGES}.gz")


def test_names_and_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown data set 'cifar'.*fashion_mnist"):
        data.load("cifar")
    with pytest.raises(DataError, match="no effect with digits"):
        data.load("digits", tmp_path)


def test_missing_tfds_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install tensorflow-datasets"):
        data.load("mnist")


# The cache


def test_the_second_load_comes_from_the_cache(folder: Path) -> None:
    first = data.load("mnist", folder)
    second = data.load("mnist")
    assert arrays_equal(first, second)
    assert second.source == f"the cache {cache.path('mnist')}"
    assert all(array.flags.writeable for array in second[1:5])


def run_python(code: str, originals: Originals) -> subprocess.Popen[str]:
    path = os.pathsep.join((str(originals.home.parent), str(REPOSITORY)))  # the small sets' TFDS goes first
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_only_a_download_imports_tfds(originals: Originals, folder: Path) -> None:
    heavy = "{'jax', 'flax', 'torch', 'tensorflow', 'tensorflow_datasets', 'sklearn', 'scipy', 'requests'}"
    process = run_python(
        f"import sys; from jax_lstm import data; data.load('mnist', {str(folder)!r}); data.load('auto');"
        f"print(sorted({heavy} & sys.modules.keys()))",
        originals,
    )
    output, errors = process.communicate(timeout=60)
    assert output.strip() == "[]", errors


def test_two_processes_may_prepare_at_once(originals: Originals, folder: Path) -> None:
    code = f"""
from jax_lstm import cache, data
for _ in range(50):
    assert data.load("mnist", {str(folder)!r}).train_images.shape == (30, 28, 28)
    cache.path("mnist").unlink(missing_ok=True)
data.load("mnist", {str(folder)!r})
"""
    processes = [
        run_python(f"import warnings; warnings.simplefilter('error')\n{code}", originals) for _ in "ab"
    ]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert data.load("mnist").train_images.shape == (30, 28, 28)
    assert os.listdir(cache.path("mnist").parent) == [cache.path("mnist").name]


CACHE_FAULTS: dict[str, Callable[[Path], object]] = {
    "payload flipped": lambda path: flip(path, 9000),
    "label flipped": lambda path: flip(path, -1),
    "checksum flipped": lambda path: flip(path, 40),
    "line flipped": lambda path: flip(path, 0),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "too long": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "empty": lambda path: path.write_bytes(b""),
    "another data set's": lambda path: path.write_bytes(
        path.read_bytes().replace(b" mnist ", b" kmnist ", 1)
    ),
    "a folder": put_folder,
}


@pytest.mark.parametrize("fault", CACHE_FAULTS)
def test_a_damaged_cache_is_an_error_that_names_it(
    folder: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.load("mnist", folder)
    CACHE_FAULTS[fault](cache.path("mnist"))
    monkeypatch.setattr(sources, "_probe", out_of_reach)
    with (
        pytest.warns(UserWarning, match="It is not used"),
        pytest.raises(DataError, match=r"mnist-v1\.idx (is damaged|cannot be read).*delete it"),
    ):
        data.load("mnist")
    with pytest.warns(UserWarning, match="It is not used"):
        fallback = data.load("auto")
    assert "mnist-v1.idx" in (fallback.fallback_reason or "")


def out_of_reach(name: str, url: str) -> None:
    raise DataError("out of reach")


def test_a_damaged_cache_is_built_anew_from_the_folder(folder: Path) -> None:
    first = data.load("mnist", folder)
    flip(cache.path("mnist"), 9000)
    with pytest.warns(UserWarning, match="mnist-v1.idx is damaged.* built anew"):
        assert arrays_equal(data.load("mnist", folder), first)
    assert arrays_equal(data.load("mnist"), first)


def test_a_run_does_without_a_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("JAX_LSTM_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match=r"mnist-v1\.idx cannot be written.*JAX_LSTM_CACHE_DIR"):
        assert data.load("mnist", folder).train_images.shape == (30, 28, 28)


# The network


@pytest.fixture
def tfds_knows(originals: Originals, monkeypatch: pytest.MonkeyPatch) -> None:
    """TFDS itself has the small files' addresses and checksums among its own."""
    from tensorflow_datasets.core.download import checksums  # type: ignore[import-untyped]

    known = checksums.get_all_url_infos()
    for name in sources.NAMES:
        for url, size, sha256 in sources.registered(name).values():
            monkeypatch.setitem(known, url, checksums.UrlInfo(size, sha256, None))


@pytest.mark.usefixtures("tfds_knows")
@pytest.mark.parametrize("name", ["auto", "kmnist"])
def test_tfds_downloads(originals: Originals, web: tuple[Path, str], name: str) -> None:
    dataset = data.load(name)
    served = "mnist" if name == "auto" else name
    assert dataset.source == f"{web[1]}/{served}"
    assert dataset.fallback_reason is None
    assert arrays_equal(dataset, data.load(served, web[0] / served))
    assert data.load(name).source.startswith("the cache")


@pytest.mark.usefixtures("tfds_knows")
@pytest.mark.parametrize("fault", ["flipped", "gone", "another's"])
def test_a_bad_download_is_an_error(web: tuple[Path, str], tmp_path: Path, fault: str) -> None:
    file = web[0] / "mnist" / f"{TEST_LABELS}.gz"
    if fault == "flipped":
        flip(file, 20)
    elif fault == "gone":
        file.unlink()
    else:
        shutil.copy(web[0] / "kmnist" / f"{TEST_LABELS}.gz", file)
    with pytest.raises(DataError, match=f"mnist cannot be downloaded: .*{TEST_LABELS}.gz"):
        data.load("mnist")
    assert not cache.path("mnist").exists()
    assert not os.listdir(tmp_path / "temporary")
    assert data.load("auto").name == "digits"


@pytest.mark.usefixtures("tfds_knows")
def test_what_tfds_hands_over_is_verified(web: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    flip(web[0] / "mnist" / f"{TEST_LABELS}.gz", 20)
    monkeypatch.setattr(
        "tensorflow_datasets.core.download.download_manager.DownloadManager._register_or_validate_checksums",
        lambda *args, **options: None,
    )
    with pytest.raises(DataError, match=f"{web[1]}/mnist/{TEST_LABELS}.gz: .* unknown sha256"):
        data.load("mnist")


@pytest.mark.usefixtures("tfds_knows")
def test_a_silent_server_is_given_up(web: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send
    monkeypatch.setattr(sources, "_SOCKET_SECONDS", (0.5, 0.5))
    (web[0] / "silent").touch()
    start = time.monotonic()
    with pytest.raises(DataError, match="mnist cannot be downloaded"):
        data.load("mnist")
    assert time.monotonic() - start < 30
    assert HTTPAdapter.send is send


@pytest.mark.usefixtures("tfds_knows")
@pytest.mark.parametrize("legacy", [False, True])
def test_earlier_downloads_of_tfds_are_verified_and_used(
    originals: Originals, web: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    from tensorflow_datasets.core.download import resource

    downloads = tmp_path / "tfds" / "downloads" / ("" if legacy else "mnist")
    downloads.mkdir(parents=True)
    for file, (url, _, sha256) in sources.registered("mnist").items():
        shutil.copy(web[0] / "mnist" / f"{file}.gz", downloads / resource.get_dl_fname(url, sha256))
    with monkeypatch.context() as offline:
        offline.setattr(sources, "_probe", out_of_reach)
        earlier = data.load("mnist")
    assert earlier.source == str(downloads)

    cache.path("mnist").unlink()
    labels = sources.registered("mnist")[TEST_LABELS]
    damaged = downloads / resource.get_dl_fname(labels.url, labels.sha256)
    flip(damaged, 20)
    with pytest.warns(UserWarning, match=f"{damaged.name}: .* unknown sha256.* It is not used"):
        assert arrays_equal(data.load("mnist"), earlier)


@pytest.mark.parametrize("name", sources.NAMES)
def test_without_a_network_a_named_data_set_is_an_error_at_once(name: str) -> None:
    start = time.monotonic()
    with pytest.raises(DataError, match=f"{name} cannot be downloaded: .*--dataset {name}, or .*--data-dir"):
        data.load(name)
    assert time.monotonic() - start < 30


def test_without_a_network_auto_takes_digits_and_says_why() -> None:
    dataset = data.load("auto")
    assert dataset.name == "digits"
    assert dataset.fallback_reason is not None
    for part in ("MNIST", "storage.googleapis.com was not reached", "--data-dir", "--dataset mnist"):
        assert part in dataset.fallback_reason


def test_a_hanging_look_up_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: released.wait(30) and [])
    start = time.monotonic()
    with pytest.raises(DataError, match=r"not reached within 3 s \(no answer\)"):
        data.load("mnist")
    assert time.monotonic() - start < 30
    released.set()


# The facts about the real data sets


def test_tfds_registers_the_real_files() -> None:
    for name in sources.NAMES:
        files = sources.registered(name)
        assert tuple(files) == FILES
        assert all(url.endswith(f"/{file}.gz") for file, (url, _, _) in files.items())
    digests = [sha256 for name in sources.NAMES for _, _, sha256 in sources.registered(name).values()]
    assert len(set(digests)) == 12


def test_the_class_names_are_those_of_tfds(tmp_path: Path) -> None:
    import tensorflow_datasets as tfds  # type: ignore[import-untyped]

    for name in sources.NAMES:
        names = tfds.builder(name, data_dir=tmp_path, try_gcs=False).info.features["label"].names
        assert data._CLASS_NAMES[name] == tuple(names)


def test_real_mnist(mnist_dir: Path, tmp_path: Path) -> None:
    first = data.load("mnist", mnist_dir)
    assert first.train_images.shape == (60_000, 28, 28)
    assert first.test_images.shape == (10_000, 28, 28)
    assert first.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert first.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(first.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(first.train_labels)[1] == 6742
    assert round(float(first.train_images.mean() / 255), 4) == 0.1307

    start = time.perf_counter()
    assert arrays_equal(data.load("auto"), first)
    assert time.perf_counter() - start < 20  # 0.06 s on an idle machine

    cache.path("mnist").unlink()
    for file in FILES:
        (tmp_path / file).write_bytes(gzip.decompress((mnist_dir / f"{file}.gz").read_bytes()))
    assert arrays_equal(data.load("mnist", tmp_path), first)
    with pytest.raises(DataError, match=f"but this is mnist's {TRAIN_IMAGES}.gz"):
        data.load("fashion_mnist", mnist_dir)


# Digits


def test_digits_are_the_same_everywhere() -> None:
    dataset = data.load("digits")
    assert dataset.train_images.shape == (1438, 28, 28)
    assert dataset.test_images.shape == (359, 28, 28)
    digests = [hashlib.sha256(array.tobytes()).hexdigest()[:16] for array in dataset[1:5]]
    assert digests == ["41f7f19503d2ad57", "7c41a52eb9165dcb", "622c4035d50eda0a", "60cb9864e53891ee"]


def test_digits_lie_as_mnist_does() -> None:
    images = data.load("digits").test_images
    assert images.dtype == np.uint8
    assert images.max() == 255
    assert not images[:, :4].any()
    assert not images[:, -4:].any()
    assert not images[:, :, :4].any()
    assert not images[:, :, -4:].any()


def test_enlarging_is_bilinear() -> None:
    ramp = np.broadcast_to(2 * np.arange(8), (1, 8, 8))
    expected = np.clip(2 * (0.4 * np.arange(20) - 0.3), 0, 14) * 255 / 16
    row = data._enlarge(ramp)[0, 10, 4:24]
    assert np.abs(row - expected).max() <= 0.5
    turned = data._enlarge(ramp.swapaxes(1, 2))[0]
    assert np.array_equal(turned[4:24, 10], row)


# Splits


@pytest.mark.parametrize("fraction", [1 / 12, 0.1, 0.2, 0.25, 1 / 3, 0.5, 0.9])
@pytest.mark.parametrize("size", [200, 997, 60_000])
def test_a_split_is_exact_stratified_and_seeded(fraction: float, size: int) -> None:
    labels = np.random.default_rng(size).integers(0, 10, size).astype(np.uint8)
    train, held_out = data.split(labels, fraction, seed=3)
    assert train.dtype == held_out.dtype == np.int32
    assert len(held_out) == round(fraction * size)
    assert np.array_equal(np.sort(np.concatenate((train, held_out))), np.arange(size))
    assert np.array_equal(train, np.sort(train))
    assert np.array_equal(held_out, np.sort(held_out))
    shares = np.bincount(labels[held_out], minlength=10) - fraction * np.bincount(labels, minlength=10)
    assert np.abs(shares).max() < 1
    assert np.array_equal(data.split(labels, fraction, seed=3)[1], held_out)
    assert not np.array_equal(data.split(labels, fraction, seed=4)[1], held_out)


def test_the_largest_remainders_are_rounded_up() -> None:
    labels = np.repeat(np.arange(3, dtype=np.uint8), (13, 17, 20))  # quotas 2.6, 3.4, 4.0 of 10
    _, held_out = data.split(labels, 0.2, seed=0)
    assert np.bincount(labels[held_out]).tolist() == [3, 3, 4]


def test_fraction_0_holds_nothing_out() -> None:
    train, held_out = data.split(np.zeros(7, np.uint8), 0.0, seed=0)
    assert train.tolist() == list(range(7))
    assert held_out.shape == (0,)
    assert held_out.dtype == np.int32


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan"), 0.01, 0.03, 0.99])
def test_an_impossible_split_is_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="--validation-fraction"):
        data.split(np.repeat(np.arange(10, dtype=np.uint8), 10), fraction, seed=0)


# Batches


@pytest.mark.parametrize("size", [1, 7, 8, 9, 100])
@pytest.mark.parametrize("batch_size", [1, 3, 8, 128])
@pytest.mark.parametrize("pad_to", [1, 2, 3, 8])
def test_every_image_counts_once_per_pass(size: int, batch_size: int, pad_to: int) -> None:
    indices = np.random.default_rng(size).permutation(1000)[:size].astype(np.int32)
    width = -(-batch_size // pad_to) * pad_to
    for batches in (
        data.epoch_batches(indices, batch_size, seed=1, epoch=2, pad_to=pad_to),
        data.sequential_batches(indices, batch_size, pad_to),
    ):
        assert batches.index.dtype == np.int32
        assert batches.weight.dtype == np.float32
        assert batches.index.shape == batches.weight.shape == (-(-size // batch_size), width)
        assert np.isin(batches.index, indices).all()
        assert np.array_equal(np.sort(batches.index[batches.weight == 1]), np.sort(indices))
        assert batches.weight.sum() == size
        assert (batches.weight[:-1].sum(1) == batch_size).all()


def real(batches: data.Batches) -> list[int]:
    order: list[int] = batches.index[batches.weight == 1].tolist()
    return order


def test_sequential_means_in_the_given_order() -> None:
    indices = np.array([5, 3, 9, 1, 4], np.int32)
    assert real(data.sequential_batches(indices, 2, pad_to=4)) == [5, 3, 9, 1, 4]


def test_seed_and_epoch_alone_decide_the_order() -> None:
    indices = np.arange(50, dtype=np.int32)
    order = real(data.epoch_batches(indices, 8, seed=0, epoch=0))
    assert order != indices.tolist()
    for batch_size, pad_to in ((8, 1), (8, 4), (8, 8), (16, 3)):
        assert real(data.epoch_batches(indices, batch_size, 0, 0, pad_to)) == order
    others = [real(data.epoch_batches(indices, 8, *of)) for of in ((0, 1), (1, 0), (1, 1), (2**32 - 1, 0))]
    assert len({tuple(o) for o in [order, *others]}) == 5


def test_no_images_no_batches() -> None:
    batches = data.sequential_batches(np.zeros(0, np.int32), 3, pad_to=2)
    assert batches.index.shape == batches.weight.shape == (0, 4)
    assert batches.index.dtype == np.int32


@pytest.mark.parametrize(("batch_size", "pad_to"), [(0, 1), (1, 0)])
def test_a_batch_holds_an_image(batch_size: int, pad_to: int) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        data.sequential_batches(np.arange(3, dtype=np.int32), batch_size, pad_to)
