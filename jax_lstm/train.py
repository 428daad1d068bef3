"""python -m jax_lstm.train: train the LSTM on images read row by row, and leave a run folder behind."""

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

import tyro

from jax_lstm.config import DEFAULT_PRESET, PRESETS, Config, ConfigError, DatasetName, preset
from jax_lstm.console import exit_status

if TYPE_CHECKING:
    from jax_lstm.runs import Run

_PRESET_HELP = f"Settings to start from, which the other options override: {', '.join(PRESETS)}."


@dataclass(frozen=True)
class Settings:
    """What every training command is given: a preset, and options that override its values."""

    config: tyro.conf.OmitArgPrefixes[Config]
    preset: Annotated[str, tyro.conf.arg(metavar="NAME", help=_PRESET_HELP)] = DEFAULT_PRESET


@dataclass(frozen=True)
class Command(Settings):
    """Train a hand-written LSTM in JAX on MNIST, read row by row."""

    run_dir: Path | None = None
    """Folder to leave the results in; None: runs/<time>-<preset>."""
    resume: Path | None = None
    """Go on with the stopped run in this folder, with its settings; --data-dir may differ."""
    quiet: bool = False
    """Print the result only."""


C = TypeVar("C", bound=Settings)


def run_training(command: Command) -> None:
    """Train as the command line says."""
    from jax_lstm.runs import Run

    if command.resume is None:
        train(command, None)
        return
    run = Run.open(command.resume)
    with run.locked():
        if run.is_finished:
            print(f"{run.path} is finished: see python -m jax_lstm.evaluate {run.path}")
        else:
            train(command, run)


def train(command: Command, stopped: "Run | None") -> None:
    """Make a new run, or go on with a stopped one, whose lock is held.

    Raises:
        RunError: the device's memory is too small, or another error that `_train` meets.
    """
    from jax.errors import JaxRuntimeError

    from jax_lstm.runs import RunError

    try:
        _train(command, stopped)
    except JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise RunError("out of memory: lower --hidden-size, --layers or --batch-size") from error


def _train(command: Command, stopped: "Run | None") -> None:
    from jax_lstm.data import load
    from jax_lstm.runs import Run
    from jax_lstm.steps import describe_devices, start_devices
    from jax_lstm.trainer import Trainer

    # a run goes on with as many devices as it had: with others it would round differently
    config = replace(stopped.config, devices=stopped.info["devices"]["count"]) if stopped else command.config
    data = load(config.dataset, command.config.data_dir or config.data_dir)
    reason = stopped.info["fallback_reason"] if stopped else data.fallback_reason
    if reason:
        print(f"!!! {reason}", flush=True)
    mesh = start_devices(config)
    devices = describe_devices(mesh)
    info = {"devices": devices, "fallback_reason": reason}
    run = stopped or Run.new(command.run_dir, command.preset, as_used(config, data.name), info)
    if not command.quiet:
        print(f"{run.preset}: {describe(run.config)}, on {mesh.size} {devices['platform']} device(s)")
        print(f"{data.name} from {data.source}", flush=True)
    trainer = Trainer(run, data, mesh, quiet=command.quiet)
    say = trainer.lines.say
    images, epochs, steps = len(trainer.train_indices), trainer.epochs, trainer.steps_per_epoch
    say(f"{images:,} training images, {epochs} epochs of {steps} steps")
    with ExitStack() as stack:
        if stopped:
            warn_of_changes(stopped, devices["platform"])
            there = trainer.go_on()
            say(
                f"Going on after step {trainer.progress.step}"
                if there
                else "Nothing saved yet: from the start"
            )
        else:
            run.make()
            stack.enter_context(run.locked())
        say(f"Compiled in {trainer.progress.compile_seconds:.1f} s")
        with run.writing(keep=trainer.progress.metrics):
            trainer.train()
        trainer.finish()
    say(f"Weights, metrics and pictures are in {run.path}")
    if reason:
        print(f"!!! {reason}")


def warn_of_changes(run: "Run", platform: str) -> None:
    """Say on stderr why a resumed run may not end bit for bit as it would have."""
    from jax_lstm.runs import versions

    before = {**run.info["versions"], "device": run.info["devices"]["platform"]}
    now = {**versions(), "device": platform}
    if changes := [
        f"{name} {before.get(name)} → {now[name]}" for name in now if before.get(name) != now[name]
    ]:
        print(f"note: {', '.join(changes)}: the run goes on, but may round differently", file=sys.stderr)


def as_used(config: Config, dataset: str) -> Config:
    """The config to store: the data set that "auto" stood for, and its folder from anywhere."""
    folder = config.data_dir and str(Path(config.data_dir).expanduser().absolute())
    return replace(config, dataset=cast(DatasetName, dataset), data_dir=folder)


def describe(config: Config) -> str:
    """The model and the optimiser in a few words."""
    return (
        f"{config.cell} of {config.layers} layer(s) of {config.hidden_size}, "
        f"{config.optimizer} at learning rate {config.learning_rate:g}, batches of {config.batch_size}"
    )


def parse(kind: type[C], argv: list[str], prog: str) -> C:
    """The command line as a command of that kind; --preset gives the defaults of the other options.

    Raises:
        ConfigError: an unknown preset, or settings given together with --resume.
        SystemExit: an unknown option or impossible value (after a message), or --help.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--preset", default=DEFAULT_PRESET)
    first.add_argument("--resume")
    first.add_argument("--steps")
    first.add_argument("--data-dir", "--data_dir")
    first.add_argument("--quiet", action="store_true")
    try:
        known, others = first.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError(str(error)) from None
    command = tyro.cli(kind, args=argv, default=kind(preset(known.preset), known.preset), prog=prog)
    if known.resume and (others or known.steps or known.preset != DEFAULT_PRESET):
        raise ConfigError(
            "--resume goes on with the run's own settings: leave out all others but --data-dir and --quiet"
        )
    if known.steps and command.config.epochs is not None:
        raise ConfigError(f"--steps has no effect with --epochs {command.config.epochs}: add --epochs None")
    return command


def main() -> int:
    """The command line."""
    return exit_status(lambda: run_training(parse(Command, sys.argv[1:], "python -m jax_lstm.train")))


if __name__ == "__main__":
    sys.exit(main())
