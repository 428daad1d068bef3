"""The main job from the command line: what it prints and leaves, stops and resumes, and bad input."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jax_lstm import sources, trainer
from jax_lstm.checkpoint import load_weights
from jax_lstm.config import PRESETS, Config
from jax_lstm.console import Lines
from jax_lstm.train import main

pytestmark = pytest.mark.usefixtures("optax_promotion")

SMALL = ["--dataset", "digits", "--hidden-size", "8", "--epochs", "2", "--batch-size", "64", "--devices", "2"]
PICTURES = {"learning_curves.png", "ten_digits.png", "confusion_matrix.png", "mistakes.png"}

Train = Callable[..., int]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Train:
    """The command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
        return main()

    return run


def summary(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text())


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def weights_of(run: Path) -> dict[str, bytes]:
    return {name: w.tobytes() for name, w in load_weights(run / "model.safetensors")[0].items()}


def test_a_run_leaves_everything_behind(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(*SMALL, "--seed", 3) == 0
    (run,) = Path("runs").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-quick", run.name)
    left = {path.name for path in run.iterdir()}
    assert left >= PICTURES | {
        "config.json",
        "metrics.jsonl",
        "summary.json",
        "model.safetensors",
        "tensorboard",
    }

    s = summary(run)
    assert (s["preset"], s["dataset"], s["seed"], s["epochs"], s["devices"]) == ("quick", "digits", 3, 2, 2)
    images = 1797 - s["test_total"]
    trained_on = images - round(images / 12)
    assert s["steps"] == 2 * -(-trained_on // 64)
    assert s["test_accuracy"] == s["test_correct"] / s["test_total"]
    assert 0 < s["validation_accuracy"] < 1
    assert min(s["train_seconds"], s["compile_seconds"], s["evaluation_seconds"]) > 0

    config = json.loads((run / "config.json").read_text())
    assert Config.from_dict(config["config"]).hidden_size == 8
    weights, header = load_weights(run / "model.safetensors")
    assert weights["layers.0.W_i"].shape == (8, 8)
    assert header["hidden_size"] == "8"

    out = capsys.readouterr().out
    assert re.search(r"^Compiled in \d+\.\d s$", out, re.M)
    assert f"Test Accuracy: {s['test_accuracy']:.2%}" in out


def test_lab_7s_lines(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--preset", "lab7-template", *SMALL, "--batch-size", 8, "--run-dir", "r") == 0
    out = capsys.readouterr().out
    number = r"\d+\.\d{4}"
    assert re.search(rf"^Epoch \[1/2\], Step \[100/180\], Loss: {number}$", out, re.M)
    epoch = (
        rf"^>>> Epoch \[2/2\] Train Loss: {number} \| Train Acc: \d+\.\d\d%"
        rf" \|\| Test Loss: {number} \| Test Acc: \d+\.\d\d% \(monitoring only\)$"
    )
    assert re.search(epoch, out, re.M)
    last = rows(Path("r"))[-1]
    assert f"Test Acc: {last['test_accuracy']:.2%}" in out
    assert last["test_accuracy"] == summary(Path("r"))["test_accuracy"]
    assert "Val Loss" not in out


def test_lab_6s_lines(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--preset", "lab6-rnn-a", *SMALL, "--batch-size", 2, "--epochs", 1, "--run-dir", "r") == 0
    out = capsys.readouterr().out
    found = re.findall(r"^Iteration: (\d+)\. Loss: [\d.e-]+\. Accuracy: ([\d.]+) ", out, re.M)
    assert [int(step) for step, _ in found] == [500, 719]
    assert float(found[-1][1]) == float(np.float32(100 * summary(Path("r"))["test_accuracy"]))
    assert "Epoch [" not in out


def test_lab_6_prints_accuracies_as_the_lab_does(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(PRESETS["lab6-lstm-a"], epochs=5, steps_per_epoch=600, quiet=False)
    lines.evaluation({"step": 500, "epoch": 1, "batch_loss": 1.0478880405426025, "test_accuracy": 0.7258})
    printed = capsys.readouterr().out
    assert printed.startswith("Iteration: 500. Loss: 1.0478880405426025. Accuracy: 72.58000183105469 ")


def test_quiet_prints_the_result_only(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(*SMALL, "--quiet") == 0
    captured = capsys.readouterr()
    assert re.fullmatch(r"Test Accuracy: .*\n", captured.out)
    assert captured.err == ""


def test_without_mnist_the_first_and_last_lines_say_so(
    train: Train, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_network(name: str) -> None:
        raise sources.DataError("nothing answers; give --data-dir")

    monkeypatch.setattr(sources, "download", no_network)
    monkeypatch.setenv("JAX_LSTM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("JAX_LSTM_DATA_DIR", raising=False)
    assert train(*SMALL[2:], "--run-dir", "r") == 0
    out = capsys.readouterr().out.splitlines()
    for line in (out[0], out[-1]):
        assert line.startswith("!!!")
        assert "MNIST is not at hand" in line
        assert "give --data-dir" in line
    assert summary(Path("r"))["dataset"] == "digits"
    assert json.loads(Path("r/config.json").read_text())["config"]["dataset"] == "digits"


def test_the_same_seed_gives_the_same_run_bit_for_bit(train: Train) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert train(*SMALL, "--quiet", "--seed", seed, "--run-dir", name) == 0
    a, b, c = (weights_of(Path(name)) for name in "abc")
    assert a == b
    assert a != c
    assert rows(Path("a")) == rows(Path("b"))


def test_every_epoch_has_an_order_of_its_own(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[bytes] = []

    def recorded(*arguments: Any) -> Any:
        orders.append((batches := epoch_batches(*arguments)).index.tobytes())
        return batches

    epoch_batches = trainer.epoch_batches
    monkeypatch.setattr(trainer, "epoch_batches", recorded)
    assert train(*SMALL, "--epochs", 3, "--quiet") == 0
    assert len(orders) == len(set(orders)) == 3


@pytest.mark.parametrize(
    "options",
    [
        "--dtype float64",
        "--dtype bfloat16",
        "--cell rnn-tanh --init flax",
        "--patience 1",
        "--devices 1 --biases 2",
    ],
)
def test_options_run_to_the_end(train: Train, options: str) -> None:
    assert train(*SMALL, *options.split(), "--quiet", "--run-dir", "r") == 0
    expected = "<f8" if "float64" in options else "<f4"
    assert all(w.dtype == expected for w in load_weights(Path("r/model.safetensors"))[0].values())


def test_early_stopping_keeps_the_best_epochs_weights(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    rising = ["--optimizer", "sgd", "--learning-rate", "3", "--momentum", "0.9", "--ema-decay", "0"]
    assert train(*SMALL, *rising, "--epochs", 30, "--patience", 2, "--run-dir", "r") == 0
    evaluations = [row for row in rows(Path("r")) if row["kind"] == "evaluation"]
    losses = [row["validation_loss"] for row in evaluations]
    best, s = int(np.argmin(losses)) + 1, summary(Path("r"))
    assert s["best_epoch"] == best
    assert s["epochs"] == len(losses) == best + 2 < 30
    assert s["validation_loss"] == losses[best - 1]
    assert f"Early stopping after epoch {best + 2}" in capsys.readouterr().out


def test_nothing_compiles_after_the_first_chunk(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    after_chunk: list[int] = []

    def count(event: str, seconds: float, **kwargs: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    def chunk(self: trainer.Trainer) -> None:
        run_chunk(self)
        after_chunk.append(len(compiled))

    run_chunk = trainer.Trainer._run_chunk
    monkeypatch.setattr(trainer.Trainer, "_run_chunk", chunk)
    monkeypatch.setattr(trainer, "CHUNK", 8)
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        assert train(*SMALL, "--patience", 5, "--monitor-test", "--quiet") == 0
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert len(after_chunk) == 6
    assert after_chunk[0] > 0
    assert len(compiled) == after_chunk[0]


# Stops and resumes, in processes of their own. Every chunk is saved, so that little time is enough.
DRIVER = """
import sys, jax_lstm.trainer as trainer, jax_lstm.train as train
trainer.CHECKPOINT_SECONDS = 0.0
trainer.CHUNK = 7
sys.exit(train.main())
"""
LONG = [*SMALL[:-2], "--epochs", "12", "--patience", "20", "--max-shift", "2", "--ema-decay", "0.9"]


def start(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", DRIVER, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("long") / "run"
    _, errors = (process := start(*LONG, "--run-dir", run)).communicate()
    assert process.returncode == 0, errors
    return run


def assert_same_run(run: Path, other: Path) -> None:
    assert weights_of(run) == weights_of(other)
    assert rows(run) == rows(other)
    timeless = [{k: v for k, v in summary(r).items() if "seconds" not in k} for r in (run, other)]
    assert timeless[0] == timeless[1]


def wait_for_rows(run: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while not (run / "metrics.jsonl").exists() or (run / "metrics.jsonl").read_text().count("\n") < count:
        assert time.monotonic() < deadline, "the run writes no metrics"
        time.sleep(0.02)


def test_a_run_killed_again_and_again_ends_as_one_never_stopped(uninterrupted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rng = np.random.default_rng(0)
    arguments: list[object] = [*LONG, "--run-dir", run]
    for _ in range(3):
        before = len(rows(run)) if run.exists() else 0
        process = start(*arguments)
        wait_for_rows(run, before + 3)
        time.sleep(float(rng.uniform(0, 0.3)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (run / "summary.json").exists()
        arguments = ["--resume", run]
    out, errors = (process := start(*arguments)).communicate()
    assert process.returncode == 0, errors
    assert "Going on after step" in out
    assert_same_run(run, uninterrupted)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    uninterrupted: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    run = tmp_path / "run"
    process = start(*LONG, "--run-dir", run)
    wait_for_rows(run, 3)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == status
    assert f"python -m jax_lstm.train --resume {run}" in errors
    assert "Traceback" not in errors
    _, errors = (process := start("--resume", run)).communicate()
    assert process.returncode == 0, errors
    assert_same_run(run, uninterrupted)


def test_resuming_a_finished_run_changes_nothing(uninterrupted: Path, train: Train, capsys: Any) -> None:
    before = (uninterrupted / "summary.json").stat().st_mtime_ns
    assert train("--resume", uninterrupted) == 0
    assert "is finished" in capsys.readouterr().out
    assert (uninterrupted / "summary.json").stat().st_mtime_ns == before


def test_two_processes_cannot_train_in_one_folder(train: Train, capsys: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(*LONG, "--epochs", 2000, "--run-dir", run)
    wait_for_rows(run, 1)
    assert train("--resume", run) == 2
    assert f"another process is training in {run}" in capsys.readouterr().err
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--preset lab7-tunned", "unknown preset 'lab7-tunned'; did you mean 'lab7-tuned'?"),
        ("--hiden-size 3", "--hidden-size"),
        ("--hidden-size 0", "--hidden-size must be from 1 to 8192, got 0"),
        ("--hidden-size three", "--hidden-size"),
        ("--cell ltsm", "lstm"),
        ("--dataset mnist --data-dir nowhere", "nowhere"),
        ("--dataset digits --run-dir full", "full is not empty"),
        ("--resume full", "full is not a run folder: it has no config.json"),
        ("--resume broken", "config.json cannot be used"),
        ("--resume broken --epochs 3", "--resume goes on with the run's own settings"),
        ("--preset lab7-template --steps 10", "--steps has no effect with --epochs 2: add --epochs None"),
        ("--dataset digits --run-dir full/precious.txt", "precious.txt is a file"),
        ("--dataset digits --validation-fraction 1e-9 --run-dir new", "--validation-fraction"),
        ("--resume", "--resume"),
    ],
)
def test_bad_input_gets_a_clear_error(train: Train, capsys: Any, arguments: str, message: str) -> None:
    Path("full").mkdir()
    Path("full/precious.txt").write_text("mine")
    Path("broken").mkdir()
    Path("broken/config.json").write_text('{"preset": "quick", "config": {"layers": 1}}')
    try:
        status = train(*arguments.split())
    except SystemExit as stop:
        status = int(stop.code or 0)
    printed = "".join(capsys.readouterr())
    assert status == 2
    assert message in re.sub(r"\s*│\n│\s*", " ", printed)
    assert "Traceback" not in printed
    assert Path("full/precious.txt").read_text() == "mine"
    assert not Path("runs").exists()
    assert not Path("new").exists()


def test_a_loss_that_is_not_finite_ends_the_run(train: Train, capsys: Any) -> None:
    hot = ["--optimizer", "sgd", "--learning-rate", "1000", "--cell", "rnn-relu", "--clip-norm", "0"]
    assert train(*SMALL, *hot, "--ema-decay", 0, "--schedule", "constant", "--warmup-fraction", 0) == 2
    message = r"error: the training loss is not finite at step \d+: lower --learning-rate"
    assert re.search(message, capsys.readouterr().err)


def test_a_checkpoint_with_a_flipped_bit_is_refused(train: Train, capsys: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(*LONG, "--run-dir", run)
    wait_for_rows(run, 3)
    process.terminate()
    process.communicate()
    largest = max(
        (p for p in (run / "checkpoints").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    assert train("--resume", run) == 2
    assert largest.name in capsys.readouterr().err


def test_a_run_goes_on_after_its_data_has_moved_but_not_with_other_settings(
    train: Train, capsys: Any, tmp_path: Path, mnist_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_LSTM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    (tmp_path / "old").symlink_to(mnist_dir)

    def stop(self: trainer.Trainer) -> None:
        self._asked_to_stop = 130

    arguments = [
        "--hidden-size",
        "4",
        "--epochs",
        "1",
        "--devices",
        "2",
        "--quiet",
        "--run-dir",
        "r",
        "--data-dir",
        "old",
    ]
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_evaluation_is_due", stop)
        assert train(*arguments) == 130
    (tmp_path / "old").unlink()
    assert train("--resume", "r") == 2
    assert "--data-dir" in capsys.readouterr().err
    config = Path("r/config.json").read_text()
    Path("r/config.json").write_text(config.replace('"seed": 0', '"seed": 1'))
    assert train("--resume", "r", "--data-dir", mnist_dir) == 2
    assert "config.json was changed since the last checkpoint (seed)" in capsys.readouterr().err
    Path("r/config.json").write_text(config)
    assert train("--resume", "r", "--data-dir", mnist_dir) == 0
    assert summary(Path("r"))["steps"] == 430


def test_help_loads_no_framework() -> None:
    code = (
        "import sys, runpy; sys.argv = ['train', '--help']\n"
        "try: runpy.run_module('jax_lstm.train', run_name='__main__')\n"
        "except SystemExit: print([m for m in ('jax', 'flax', 'optax', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.endswith("[]\n")
    assert "--hidden-size" in result.stdout


def test_one_epoch_of_real_mnist_passes_95_percent(
    train: Train, mnist_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_LSTM_CACHE_DIR", str(tmp_path / "cache"))
    assert train("--data-dir", mnist_dir, "--epochs", 1, "--devices", 2, "--quiet", "--run-dir", "r") == 0
    s = summary(Path("r"))
    assert (s["dataset"], s["test_total"], s["steps"]) == ("mnist", 10_000, 430)
    assert s["test_accuracy"] > 0.95
