"""python -m jax_lstm.evaluate RUN: what a run gets right, overall and per class, with its pictures."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from jax_lstm.console import exit_status


@dataclass(frozen=True)
class Command:
    """Evaluate a finished run on its test set, and draw its pictures again."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    data_dir: Path | None = None
    """Folder with the four original files, where it is not the one that the run used."""


def run_evaluation(command: Command) -> None:
    """Load a run's weights and data, print what it gets right, and draw its pictures."""
    from jax_lstm.data import load
    from jax_lstm.results import accuracy_line, draw, predictor_for_test, score
    from jax_lstm.runs import Run
    from jax_lstm.steps import on_devices, start_devices, weight_shapes

    run = Run.open(command.run)
    mesh = start_devices(replace(run.config, devices=0))
    weights = on_devices(run.load_weights(weight_shapes(run.config, mesh)), mesh)
    data = load(run.config.dataset, command.data_dir or run.config.data_dir)
    logits = predictor_for_test(run.config, mesh, data).logits(weights)
    result = score(logits, data.test_labels)
    print(f"{run.path}: {run.preset} on {data.name}, {result.total:,} test images")
    print(f"Test Loss: {result.loss:.4f}")
    print(accuracy_line(result))
    for label, name in enumerate(data.class_names):
        found = logits[data.test_labels == label].argmax(1)
        right = int((found == label).sum())
        print(f"  {name:>12}: {right / max(len(found), 1):8.2%}  ({right:,}/{len(found):,})")
    draw(run, data, logits)
    print(f"Pictures drawn again in {run.path}")


def main() -> int:
    """The command line."""
    return exit_status(lambda: run_evaluation(tyro.cli(Command, prog="python -m jax_lstm.evaluate")))


if __name__ == "__main__":
    sys.exit(main())
