"""python -m parity check: climb the ladder, and report what differs, where first, and why."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tqdm import tqdm

from jax_lstm.console import INTERRUPTED, Stopped, exit_status
from jax_lstm.errors import UserError
from jax_lstm.files import require_place

if TYPE_CHECKING:
    from jax_lstm.data import Dataset
    from parity.ladder.result import Result, Sides
    from parity.plan import Plan
    from parity.probe import Probe
    from parity.report import Report

Until = Literal["weights", "gates", "outputs", "gradients", "update", "trajectory", "accuracy"]
DEVICES = 2


@dataclass(frozen=True)
class Command:
    """Compare jax_lstm with torch_ref on the same weights, from single gates to trained accuracy.

    Exit status: 0 all is equal to rounding; 1 something is not; 2 the check could not be made.
    """

    until: Until = "accuracy"
    """The last stage to climb to."""
    weights: Path | None = None
    """A model.safetensors: its weights are compared, too, in the stages up to the gradients."""
    dataset: str = "auto"
    """What the last stage trains on, as in jax_lstm.train."""
    data_dir: str | None = None
    """Where it lies, as in jax_lstm.train."""
    seed: int = 0
    """Of the random weights and inputs."""
    seeds: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """How many trainings of both sides the last stage compares."""
    json: Path | None = None
    """Write the report there, as JSON."""
    html: Path | None = None
    """Write the report there, as one page that needs no network."""
    self_test: bool = False
    """Check the checks, not the code: plant every known fault, and show which stage catches it."""
    configurations: Annotated[int, tyro.conf.arg(metavar="N")] = 200
    """With --self-test: how many random settings are climbed with nothing planted."""
    faults: str = ""
    """With --self-test: only the faults whose names hold this."""


def main(argv: list[str]) -> int:
    """The command line after `check`; returns the exit status."""
    passed: list[bool] = []

    def job() -> None:
        command = tyro.cli(Command, args=argv, prog="python -m parity check")
        try:
            _require_sense(command)
            _start_jax()
            passed.append(_self_test(command) if command.self_test else run(command))
        except KeyboardInterrupt:
            message = "Stopped; no report is written. Start again with the same command."
            raise Stopped(INTERRUPTED, message) from None

    return exit_status(job) or int(passed != [True])


def run(command: Command) -> bool:
    """Climb as the command line says, and report; whether all passed.

    Raises:
        UserError: weights or a data set that cannot be read, or weights that the inputs cannot see.
    """
    from parity.ladder.result import STAGES
    from parity.report import Report
    from parity.report_text import table

    stages = STAGES[: STAGES.index(command.until) + 1]
    data = _load(command) if "accuracy" in stages else None
    sides, plan = _sides(), _plan(command)
    report = Report([], [], environment(command))
    bar = tqdm(stages, unit="stage", leave=False, disable=not sys.stderr.isatty())
    for stage in bar:
        bar.set_description(stage)
        _climb(stage, plan, sides, data, command, report)
    encoding = sys.stdout.encoding or "utf-8"
    print(table(report, colour=_in_colour(), encoding=encoding), flush=True)
    _write(command, report)
    return report.passed


def _climb(
    stage: str, plan: "Plan", sides: "Sides", data: "Dataset | None", command: Command, report: "Report"
) -> None:
    from parity.climb import climb
    from parity.report import curves, stage_report
    from parity.verdict import diagnose

    start = time.perf_counter()
    if stage == "accuracy":
        from parity.ladder import accuracy  # SciPy's statistics take half a second

        assert data
        results = list(accuracy.check(data, seeds=command.seeds))
    else:
        _warm_up(stage, plan, sides)
        results = list(climb(plan, sides, stage))
    summary = stage_report(stage, results, time.perf_counter() - start)
    summary.first = diagnose(results, sides)
    summary.notes = _notes(stage, results)
    report.stages.append(summary)
    if stage == "trajectory":
        report.curves = curves(results)


def _warm_up(stage: str, plan: "Plan", sides: "Sides") -> None:
    """Let JAX compile on all cores: what it computes is remembered for the stages."""
    from jax_lstm.steps import cores
    from parity.torch_side import torch_side

    jobs: list[tuple[Any, Any]] = []
    own = [side for side in sides if side.name != torch_side().name]
    if stage == "gates":
        jobs = [(own[0].gates, probe) for probe in plan.probes]
        jobs += [(side.gates, probe) for side in own[1:] for probe in plan.with_others]
    if stage == "update":
        jobs = [(own[0].steps, course) for course in (*plan.long_courses, *plan.courses)]
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(lambda job: job[0](job[1]), jobs))


def _sides() -> "Sides":
    from parity.jax_side import jax_side
    from parity.ladder.result import Sides
    from parity.torch_side import torch_side

    return Sides(jax_side("fast"), torch_side(), (jax_side("plain"),))


def _plan(command: Command) -> "Plan":
    from parity import plan

    full = plan.full(command.seed, _devices())
    if command.weights:
        full.probes.append(_probe_of(command.weights, command.seed))
    return full


def _probe_of(path: Path, seed: int) -> "Probe":
    """A probe of the weights in a file.

    Raises:
        UserError: it cannot be read, is of no known cell, or the probe cannot see all of it.
    """
    from jax_lstm.cell import GATES
    from jax_lstm.checkpoint import load_weights
    from parity.probe import Dtype, Setting, around, require_sight
    from torch_ref.model import split_layers

    weights, header = load_weights(path)
    cell = next((cell for cell in GATES if cell == header.get("cell")), None)
    if cell is None:
        raise UserError(
            f"{path}: its header names the cell {header.get('cell')!r}; expected {', '.join(GATES)}"
        )
    try:
        layers = split_layers(weights, cell)
        gate = GATES[cell][0]
        H, inputs = layers[0][f"U_{gate}"].shape
        C = len(weights["b_out"])
        biases: Literal[1, 2] = 2 if f"bh_{gate}" in layers[0] else 1
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: not the weights of a {cell} classifier: {error}") from error
    dtype: Dtype = "float64" if weights["b_out"].dtype == "float64" else "float32"
    setting = Setting(cell, len(layers), biases, T=28, B=4, I=inputs, H=H, C=C, dtype=dtype, seed=seed)
    probe = around(weights, setting)
    require_sight(probe)
    return probe


def _load(command: Command) -> "Dataset":
    from jax_lstm.data import load

    data = load(command.dataset, command.data_dir)
    if data.fallback_reason:
        print(f"!!! {data.fallback_reason}", flush=True)
    return data


def _start_jax() -> None:
    """More than one device where there is one CPU: a training that shares its batches is compared, too."""
    from contextlib import suppress

    import jax

    from jax_lstm.programs import keep_programs

    keep_programs()
    with suppress(RuntimeError):  # it runs already, as in a test
        jax.config.update("jax_num_cpu_devices", DEVICES)


def _devices() -> int:
    import jax

    return len(jax.local_devices())


def _notes(stage: str, results: "list[Result]") -> list[str]:
    if stage == "accuracy":
        from parity.ladder import accuracy

        return accuracy.notes(results)
    if stage in ("update", "trajectory") and _devices() == 1:
        return ["JAX has one device here: trainings shared by several are not compared"]
    return []


def environment(command: Command) -> dict[str, str]:
    """Versions, devices, threads, date and seed."""
    import jax
    import torch

    from jax_lstm.runs import versions

    device = jax.local_devices()[0]
    return {
        **versions(),
        "torch": torch.__version__,
        "JAX devices": f"{_devices()} × {device.platform} ({device.device_kind})",
        "PyTorch": f"CPU, {torch.get_num_threads()} threads",
        "matrix products": "full precision on both sides",
        "seed": str(command.seed),
        "date": date.today().isoformat(),
    }


def _require_sense(command: Command) -> None:
    """Refuse what would be found out only at the end, and options without effect.

    Raises:
        UserError: with what to do.
    """
    for name, path in (("--json", command.json), ("--html", command.html)):
        require_place(name, path)
    if command.seeds < 1 or command.configurations < 0 or command.seed < 0:
        raise UserError("--seeds must be 1 or more, --configurations and --seed 0 or more")
    training = ("dataset", "data_dir", "seeds")
    unused = {
        "with --self-test": ("until", "weights", "html", *training) if command.self_test else (),
        "without --self-test": () if command.self_test else ("configurations", "faults"),
        f"with --until {command.until}": () if command.until == "accuracy" else training,
    }
    for where, names in unused.items():
        for name in names:
            if getattr(command, name) != getattr(Command(), name):
                raise UserError(f"--{name.replace('_', '-')} has no effect {where}: leave it out")


def _write(command: Command, report: "Report") -> None:
    from jax_lstm.runs import write_json
    from parity.report_html import write_html
    from parity.report_json import as_json

    if command.json:
        write_json(command.json, as_json(report))
    if command.html:
        write_html(report, command.html)
        print(f"The page is {command.html}")


def _in_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _self_test(command: Command) -> bool:
    from parity.matrix import run_self_test

    return run_self_test(command.faults, command.configurations, command.seed, command.json)
