"""Checkpoints and weights files: bit-identical when whole, an error when damaged, safe at any crash."""

import ctypes
import itertools
import json
import multiprocessing
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from safetensors.numpy import load_file, save_file

from jax_lstm import checkpoint
from jax_lstm.checkpoint import CheckpointError, load_weights, restore, save, save_weights

ROOT = Path(__file__).parents[1]
# A quiet NaN with a payload, a negative one, infinity, -0.0 and the smallest subnormal number.
ODD_FLOATS = np.array([0x7FC01234, 0xFFC00001, 0x7F800000, 0x80000000, 1], np.uint32).view(np.float32)


def make_state(value: float = 0.5) -> dict[str, Any]:
    params = {
        "layers": [{"W": jnp.arange(12.0).reshape(3, 4) + value, "b": jnp.full(3, value, jnp.bfloat16)}],
        "odd": jnp.asarray(ODD_FLOATS),
        "minus_zeros": -jnp.zeros(4),
    }
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    moments = jax.tree.map(lambda x: x + 1, optimizer.init(params))
    return {"params": params, "optimizer": moments, "key": jax.random.PRNGKey(3), "step": jnp.int32(7)}


def assert_identical(left: Any, right: Any) -> None:
    leaves = [jax.tree_util.tree_leaves_with_path(tree) for tree in (left, right)]
    for (path, a), (other_path, b) in zip(*leaves, strict=True):
        assert (path, a.dtype, a.shape) == (other_path, b.dtype, b.shape)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), path


def value_in(folder: Path) -> float:
    restored = restore(folder, {"x": jnp.zeros(1000)})
    assert restored is not None
    state, meta = restored
    assert np.all(np.asarray(state["x"]) == meta["value"])
    return float(meta["value"])


def save_value(folder: Path, step: int, value: float) -> None:
    save(folder, step, {"x": jnp.full(1000, float(value))}, {"value": value})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's checkpoint folder with step 42 in it."""
    save(tmp_path / "checkpoints", 42, make_state(), {"epoch": 3, "best": float("inf"), "losses": [1.5, 0.1]})
    return tmp_path / "checkpoints"


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flip_bit(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


# --- checkpoints: the round trip


def test_round_trip_is_bit_identical(folder: Path) -> None:
    restored = restore(folder, jax.tree.map(jnp.zeros_like, make_state()))
    assert restored is not None
    assert_identical(restored[0], make_state())
    assert restored[1] == {"epoch": 3, "best": float("inf"), "losses": [1.5, 0.1]}
    assert [path.name for path in folder.iterdir()] == ["00000042"]


TWO_DEVICES = """
import sys, jax, jax.numpy as jnp, numpy as np
from pathlib import Path
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding
from jax_lstm import checkpoint
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_enable_x64", True)
replicated = NamedSharding(jax.make_mesh((2,), ("data",)), PartitionSpec())
state = {"W": jax.random.normal(jax.random.PRNGKey(0), (300, 200), jnp.float64), "b": jnp.ones(3, "float32")}
state = jax.device_put(state, replicated)
checkpoint.save(Path(sys.argv[1]), 1, state, {})
for sharding in (replicated, SingleDeviceSharding(jax.devices()[1])):
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state)
    restored, _ = checkpoint.restore(Path(sys.argv[1]), like)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(restored), strict=True):
        assert b.sharding == sharding and a.dtype == b.dtype, (b.sharding, b.dtype)
        assert all(np.asarray(s.data).tobytes() == np.asarray(a).tobytes() for s in b.addressable_shards)
"""


def test_float64_on_two_devices_comes_back_on_two_or_one(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", TWO_DEVICES, str(tmp_path / "c")], cwd=ROOT, check=True)


def test_saving_keeps_one_and_leaves_other_names_alone(folder: Path) -> None:
    (folder / "notes").mkdir()
    for value, step in enumerate((43, 43, 5, 1_234_567_890)):
        save_value(folder, step, value)
        assert sorted(path.name for path in folder.iterdir()) == [f"{step:08d}", "notes"]
        assert value_in(folder) == value


def test_none_where_nothing_is_complete(folder: Path, tmp_path: Path) -> None:
    assert restore(tmp_path / "absent", make_state()) is None
    (folder / "00000042" / "SHA256SUMS").unlink()
    assert restore(folder, make_state()) is None


def test_is_quiet_and_leaves_no_threads(tmp_path: Path, capfd: Any, caplog: pytest.LogCaptureFixture) -> None:
    threads = set(threading.enumerate())
    with caplog.at_level("INFO"):
        save_value(tmp_path, 1, 1.0)
        value_in(tmp_path)
    assert [record for record in caplog.records if record.name == "absl"] == []
    assert capfd.readouterr() == ("", "")
    until = time.monotonic() + 5
    while set(threading.enumerate()) - threads and time.monotonic() < until:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= threads


def test_import_is_light() -> None:
    code = "import sys, jax_lstm.checkpoint; sys.exit(bool({'jax', 'orbax', 'safetensors'} & {*sys.modules}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# --- checkpoints: damage


def test_every_flipped_bit_is_caught(folder: Path) -> None:
    like, rng = make_state(), random.Random(0)
    for path in files_of(folder):
        size = 8 * path.stat().st_size
        for bit in {0, size - 1, *rng.sample(range(size), min(10, size))} if size else ():
            flip_bit(path, bit)
            with pytest.raises(CheckpointError, match="since the checkpoint was written"):
                restore(folder, like)
            flip_bit(path, bit)
    assert restore(folder, like) is not None


def test_damage_names_the_file_and_never_falls_back(folder: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    (folder / "00000042").rename(older)
    save_value(folder, 43, 1.0)
    older.rename(folder / "00000042")
    flip_bit(folder / "00000043" / "meta.json", 100)
    with pytest.raises(CheckpointError, match=r"00000043/meta\.json: changed .*delete .*00000043"):
        restore(folder, make_state())


def test_missing_and_extra_files_are_named(folder: Path) -> None:
    for path in files_of(folder):
        if path.name != "SHA256SUMS":
            path.rename(folder / "aside")
            with pytest.raises(CheckpointError, match=f"{path.name}: missing"):
                restore(folder, make_state())
            (folder / "aside").rename(path)
    (folder / "00000042" / "state" / "stray").touch()
    with pytest.raises(CheckpointError, match="state/stray: extra"):
        restore(folder, make_state())


def test_digests_are_what_sha256sum_reads(folder: Path) -> None:
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder / "00000042", check=True
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {**s, "key": jnp.zeros(3)}, r"holds key uint32\[2\] where this run has key float32\[3\]"),
        (lambda s: {**s, "zeal": s["key"]}, r"holds nothing more where this run has zeal uint32\[2\]"),
        (lambda s: {**s, "params": {}}, r"holds params\.layers\.0\.W float32\[3,4\] where this run has step"),
        (lambda s: {**s, "step": jnp.uint32(7)}, r"holds step int32\[\] where this run has step uint32\[\]"),
        (
            lambda s: {**s, "optimizer": ()},
            r"holds optimizer\.1\.0\.count int32\[\] where this run has params",
        ),
    ],
    ids=["shape", "more", "fewer", "dtype", "optimizer"],
)
def test_other_settings_name_the_first_leaf(folder: Path, change: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        restore(folder, change(make_state()))


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_odd_files_are_refused(folder: Path, kind: str) -> None:
    odd = folder / "00000042" / "state" / "odd"
    os.mkfifo(odd) if kind == "fifo" else odd.symlink_to(ROOT)
    with pytest.raises(CheckpointError, match="odd: not a plain file"):
        restore(folder, make_state())


@pytest.mark.parametrize(
    "meta",
    ["", "[]", "{}", '{"leaves": 3, "meta": {}}', "[" * 100_000, "\xff"],
    ids=["empty", "list", "no leaves", "odd leaves", "deep", "no text"],
)
def test_forged_meta_is_an_error_of_ours(folder: Path, meta: str) -> None:
    (folder / "00000042" / "meta.json").write_bytes(meta.encode("latin-1"))
    reseal(folder / "00000042")
    with pytest.raises(CheckpointError):
        restore(folder, make_state())


def test_a_forged_state_is_an_error_of_ours(folder: Path) -> None:
    (folder / "00000042" / "state" / "_METADATA").write_text("{}")
    reseal(folder / "00000042")
    with pytest.raises(CheckpointError, match="no checkpoint that can be read"):
        restore(folder, make_state())


def reseal(path: Path) -> None:
    """What a forger does: the digests fit again."""
    (path / "SHA256SUMS").write_text(checkpoint._sums(path))


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()
    with pytest.raises(CheckpointError, match="checkpoints"):
        restore(tmp_path / "checkpoints", make_state())
    with pytest.raises(CheckpointError, match="could not be written"):
        save(tmp_path / "checkpoints", 1, make_state(), {})


def test_a_refused_save_leaves_the_last_checkpoint(folder: Path, capfd: Any) -> None:
    with pytest.raises(CheckpointError, match="step 43 could not be written"):
        save(folder, 43, {"empty": jnp.zeros((0, 3))}, {})  # Orbax refuses arrays of size 0.
    assert restore(folder, make_state()) is not None
    assert capfd.readouterr() == ("", "")


# --- checkpoints: crashes


def save_without_end(folder: str, saved: Any) -> None:
    while True:
        saved.begun = saved.done + 1
        save_value(Path(folder), saved.begun // 2, saved.begun)  # each step twice
        saved.done = saved.begun


class Saved(ctypes.Structure):
    _fields_ = (("begun", ctypes.c_long), ("done", ctypes.c_long))


@pytest.mark.skipif(os.name != "posix", reason="needs kill -9")
def test_kill_at_any_moment_leaves_the_newest(tmp_path: Path) -> None:
    context, rng, debris = multiprocessing.get_context("forkserver"), random.Random(0), 0
    context.set_forkserver_preload(["jax", "optax", "orbax.checkpoint", "pytest", "safetensors.numpy"])
    saved: Any = context.Value(Saved, lock=False)
    for _ in range(10):
        process = context.Process(target=save_without_end, args=(str(tmp_path), saved))
        before = saved.done
        process.start()
        until = time.monotonic() + 30
        while saved.done == before and process.is_alive() and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.join()
        assert process.exitcode == -9
        assert value_in(tmp_path) in (saved.done, saved.begun)
        saved.done = saved.begun
        debris += len(list(tmp_path.iterdir())) > 1
    assert debris, "no kill came in the middle of a save"
    save_value(tmp_path, saved.done, saved.done)
    assert len(list(tmp_path.iterdir())) == 1


@contextmanager
def interrupt_at(line: int) -> Iterator[None]:
    """KeyboardInterrupt at the line-th line that runs of the functions that order a save's steps."""
    traced = {("checkpoint.py", "save"), ("checkpoint.py", "_keep_only"), ("files.py", "write_atomic")}
    lines_left = line

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines_left
        if (Path(frame.f_code.co_filename).name, frame.f_code.co_name) not in traced:
            return None
        lines_left -= event == "line"
        if lines_left == 0:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files left open
def test_interrupt_at_every_line_leaves_the_newest(tmp_path: Path) -> None:
    """Saves of the same step are interrupted at their 1st, 2nd, 3rd … line, until one comes to its end."""
    save_value(tmp_path, 7, 0)
    last = 0.0
    for line in itertools.count(1):
        try:
            with interrupt_at(line):
                save_value(tmp_path, 7, line)
            break
        except KeyboardInterrupt:
            assert value_in(tmp_path) in (last, line)
            last = value_in(tmp_path)
    assert line > 30
    assert value_in(tmp_path) == line
    assert [path.name for path in tmp_path.iterdir()] == ["00000007"]


def test_ctrl_c_waits_until_orbax_is_through(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    through = threading.Event()

    class SlowOrbax:
        def save(self, path: Path, state: Any) -> None:
            time.sleep(0.1)  # The main thread is waiting by then.
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.1)
            through.set()

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_orbax", lambda: nullcontext(SlowOrbax()))
        with pytest.raises(KeyboardInterrupt):
            save_value(folder, 43, 43)
    assert through.is_set()
    assert restore(folder, make_state()) is not None
    save_value(folder, 44, 44)
    assert [path.name for path in folder.iterdir()] == ["00000044"]


@pytest.mark.parametrize("step", [5, 42, 43])  # 42 is there already
def test_half_of_a_checkpoint_does_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    def remove_half(path: Path, ignore_errors: bool) -> None:
        (path / "meta.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", remove_half)
        with pytest.raises(KeyboardInterrupt):
            save_value(folder, step, 5)
    assert value_in(folder) == 5


def test_the_newer_of_one_step_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_only = checkpoint._keep_only

    def interrupted(folder: Path, keep: Path) -> None:
        if keep.name != "00000042":
            raise KeyboardInterrupt
        keep_only(folder, keep)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_keep_only", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_value(folder, 42, 5)
    assert value_in(folder) == 5


# --- weights


def make_weights(dtype: type = np.float32) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    weights: dict[str, np.ndarray] = {
        "W_out": rng.normal(size=(3, 2)).astype(dtype),
        "b_out": ODD_FLOATS[:3].astype(dtype),
    }
    for gate in "ifoc":
        weights[f"layers.0.W_{gate}"] = rng.normal(size=(2, 2)).astype(dtype)
        weights[f"layers.0.U_{gate}"] = rng.normal(size=(2, 4)).astype(dtype)
        weights[f"layers.0.b_{gate}"] = rng.normal(size=2).astype(dtype)
    return weights


HEADER = {"layout": "gates i, f, o, c", "hidden_size": "2", "note": 'ünï "quoted"\n'}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_weights(tmp_path / "model.safetensors", make_weights(), HEADER)
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_round_trip_is_bit_identical(tmp_path: Path, dtype: type) -> None:
    save_weights(tmp_path / "m", make_weights(dtype), HEADER)
    weights, header = load_weights(tmp_path / "m")
    assert_identical(weights, make_weights(dtype))
    assert header == HEADER
    assert_identical(load_file(tmp_path / "m"), make_weights(dtype))  # any safetensors reader gets the same
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_any_memory_layout_saves_the_same_values(tmp_path: Path) -> None:
    def padded(array: np.ndarray) -> np.ndarray:
        return np.pad(array, [(1, 1)] * array.ndim)[(slice(1, -1),) * array.ndim]

    def reversed_rows(array: np.ndarray) -> np.ndarray:
        return array[::-1].copy()[::-1]

    def big_endian(array: np.ndarray) -> np.ndarray:
        return array.astype(">f4")

    for form in (np.asfortranarray, padded, reversed_rows, big_endian):
        weights = {name: form(array) for name, array in reversed(make_weights().items())}
        save_weights(tmp_path / form.__name__, weights, HEADER)
        assert_identical(load_weights(tmp_path / form.__name__)[0], make_weights())


def test_every_flipped_bit_of_a_weights_file_is_caught(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    save_weights(model, {"b_out": ODD_FLOATS, "W_out": np.eye(2, dtype=np.float32)}, {"layout": "ifoc"})
    for bit in range(8 * model.stat().st_size):
        flip_bit(model, bit)
        with pytest.raises(CheckpointError, match=r"model\.safetensors: "):
            load_weights(model)
        flip_bit(model, bit)
    load_weights(model)


def test_every_truncation_and_a_longer_file_are_caught(model: Path) -> None:
    whole = model.read_bytes()
    for length in range(len(whole)):
        model.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"model\.safetensors: no whole safetensors file"):
            load_weights(model)
    model.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError):
        load_weights(model)


def raw_file(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no whole"),
        (b"a text about something else entirely", "no whole"),
        (pickle.dumps(make_weights()), "no whole"),
        (b"\xff" * 8 + b"{}", "no whole"),
        ((2**40).to_bytes(8, "little") + b"{}", "no whole"),
        (
            raw_file({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, bytes(4)),
            "no whole",
        ),
        (raw_file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)), "no sha256"),
        (raw_file({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)), "F64, got BF16"),
        (
            raw_file({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
            "got F8_E4M3",
        ),
    ],
    ids=["empty", "text", "pickle", "absurd length", "too long", "absurd shape", "no digest", "BF16", "F8"],
)
def test_other_files_are_refused(model: Path, content: bytes, message: str) -> None:
    model.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: .*{message}"):
        load_weights(model)


def test_other_paths_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, message in (
        (tmp_path, "not a plain"),
        (tmp_path / "fifo", "not a plain"),
        (tmp_path / "no", "no such"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_weights(path)


def test_a_changed_header_or_name_is_caught(model: Path) -> None:
    from safetensors import safe_open

    with safe_open(model, framework="np") as file:
        metadata = file.metadata()
    for header, weights in (
        ({**metadata, "layout": "gates i, f, c, o"}, make_weights()),
        ({**metadata, "more": ""}, make_weights()),
        (metadata, {name.replace("b_i", "b_j"): w for name, w in make_weights().items()}),
        (metadata, {name: w.reshape(-1) for name, w in make_weights().items()}),
    ):
        save_file(weights, model, header)
        with pytest.raises(CheckpointError, match="changed since it was written"):
            load_weights(model)


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    for dtype in (np.int32, np.float16, jnp.bfloat16):
        with pytest.raises(ValueError, match="b_out must be float32 or float64"):
            save_weights(tmp_path / "m", {"b_out": np.zeros(3, dtype)}, {})
    with pytest.raises(ValueError, match="sha256"):
        save_weights(tmp_path / "m", make_weights(), {"sha256": "0"})
    assert list(tmp_path.iterdir()) == []
