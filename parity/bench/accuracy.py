"""How long it takes to reach a test accuracy, from the start of the command until it says so."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from parity.bench.contenders import EPOCH_REFERENCE, EPOCH_WORK
from parity.bench.figures import Figure, Row
from parity.bench.process import Dropped, Process

SEEDS = (0, 1, 2)
_START = ("--init", "flax", "--forget-bias", "1")
_PLAIN = ("--max-shift", "0", "--max-rotation", "0", "--max-scale", "0", "--ema-decay", "0")
# Epochs of the labs' loop that it may take.
TIMES = {0.9781: 1, 0.99: 3}
# Test accuracy → the settings of python -m jax_lstm.train that get there, chosen on validation images.
TARGETS: dict[float, tuple[str, ...]] = {
    0.9781: ("--epochs", "1", "--batch-size", "32", *_START, *_PLAIN),
    0.99: ("--epochs", "5", *_START),
}


def accuracy(description: str, data_dir: str | None) -> Figure:
    """Whole commands, compiling included, beside an epoch of the labs' loop; one round per seed.

    The test set is read once per run, at its end.

    Args:
        description: of MNIST, for the card.
        data_dir: folder with its files, as `jax_lstm.data.load` takes it.
    """
    dataset = ["--dataset", "mnist", *(["--data-dir", data_dir] if data_dir else [])]
    rows = {target: Row(f"jax_lstm.train to {target:.2%}") for target in TARGETS}
    reached: dict[float, list[float]] = {target: [] for target in TARGETS}
    loop = Row(EPOCH_REFERENCE, about="one epoch of the labs' loop over a DataLoader, its start not included")
    with Process(EPOCH_REFERENCE) as process:
        with loop.excused():
            process.ask("load", dataset="mnist", data_dir=data_dir)
        for seed in SEEDS:
            if not loop.missing:
                with loop.excused():
                    loop.values.append(process.ask("epoch")["seconds"])
            for target, row in rows.items():
                if not row.missing:
                    with row.excused():
                        seconds, found = _train([*TARGETS[target], *dataset, "--seed", str(seed)])
                        row.values.append(seconds)
                        reached[target].append(found)
    for target, row in rows.items():
        if row.values:
            there = sum(found >= target for found in reached[target])
            listed = ", ".join(f"{found:.2%}" for found in reached[target])
            row.about = (
                f"{' '.join(TARGETS[target])}: {listed}: {there} of {len(SEEDS)} seeds get there, "
                f"the median {'does' if median(reached[target]) >= target else 'DOES NOT'}"
            )
            if loop.values:
                epochs = median(t / e for t, e in zip(row.values, loop.values, strict=True))
                row.about += f"; takes {epochs:.2f} epochs of the loop, wanted {TIMES[target]}"
    work = f"{description}; the loop: {EPOCH_WORK}"
    title = f"time to a test accuracy, a round for each of {len(SEEDS)} seeds"
    return Figure(title, work, rows=[loop, *rows.values()], reference=EPOCH_REFERENCE)


def _train(options: Sequence[str]) -> tuple[float, float]:
    """Seconds from the start of a training until it says its test accuracy, and that accuracy.

    Raises:
        Dropped: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        begin = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "jax_lstm.train", *options, "--quiet", "--run-dir", str(run)],
            env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            line = process.stdout.readline()
            seconds = time.perf_counter() - begin
            _, errors = process.communicate()
        if process.returncode or not line.startswith("Test Accuracy"):
            raise Dropped(f"it ended with status {process.returncode}: {(line + errors).strip()[-300:]}")
        summary = json.loads((run / "summary.json").read_text())
    return seconds, summary["test_accuracy"]
