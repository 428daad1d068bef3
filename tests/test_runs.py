"""The run folder: names, locks, metrics that survive a stop, TensorBoard's scalars."""

import json
from pathlib import Path

import pytest

from jax_lstm.config import Config
from jax_lstm.runs import Run, RunError

INFO = {"fallback_reason": None, "devices": {"count": 2, "platform": "cpu", "kind": "cpu"}}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    new = Run.new(tmp_path / "run", "quick", Config(dataset="digits"), INFO)
    new.make()
    return new


def test_a_run_is_found_as_it_was_left(run: Run) -> None:
    with run.writing(keep=0):
        run.record("step", step=100, loss=2.0)
    again = Run.open(run.path)
    assert (again.preset, again.config, again.metrics) == ("quick", run.config, run.metrics)
    assert again.info["devices"]["count"] == 2
    assert again.info["versions"].keys() >= {"jax", "jaxlib", "flax", "optax", "numpy"}


def test_default_names_never_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20260101-000000")
    names = []
    for _ in range(3):
        new = Run.new(None, "best", Config(), INFO)
        new.make()
        names.append(new.path.name)
    assert names == ["20260101-000000-best", "20260101-000000-best-2", "20260101-000000-best-3"]


def test_a_full_folder_is_left_alone(run: Run) -> None:
    with pytest.raises(RunError, match=r"is not empty: give another --run-dir, or go on .* --resume"):
        Run.new(run.path, "quick", Config(), INFO)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"the run folder .*file/run cannot be made"):
        Run.new(tmp_path / "file" / "run", "quick", Config(), INFO).make()


def test_rows_after_the_checkpoint_are_written_anew(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with run.writing(keep=0):
        for step in (100, 200, 300):
            run.record("step", step=step, loss=step / 100)
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')
    again = Run.open(run.path)
    assert len(again.metrics) == 3
    with again.writing(keep=1):
        for step in (200, 300):
            again.record("step", step=step, loss=step / 1000)
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["loss"]) for row in rows] == [(100, 1.0), (200, 0.2), (300, 0.3)]

    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    scalars = [(e.step, round(e.value, 6)) for e in events.Scalars("step/loss")]
    assert scalars == [(100, 1.0), (200, 0.2), (300, 0.3)]


def test_lost_and_damaged_rows_are_errors(run: Run) -> None:
    file = run.path / "metrics.jsonl"
    file.write_text('{"kind": "step", "step": 1}\n')
    with pytest.raises(RunError, match="has lost rows: 2"), Run.open(run.path).writing(keep=2):
        pass
    file.write_text('{"kind": "ste\n{"kind": "step", "step": 1}\n')
    with pytest.raises(RunError, match=r"line 1 of .*metrics\.jsonl is damaged"):
        Run.open(run.path)


def test_two_processes_exclude_each_other(run: Run) -> None:
    with run.locked(), pytest.raises(RunError, match="another process"), Run.open(run.path).locked():
        pass
    with run.locked():
        pass


def test_a_run_without_a_checkpoint_starts_tensorboard_anew(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for losses in ((1.0, 2.0), (3.0, 4.0)):
        with run.writing(keep=0):
            for step, loss in zip((100, 200), losses, strict=True):
                run.record("step", step=step, loss=loss)
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("step/loss")] == [(100, 3.0), (200, 4.0)]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"preset": "quick", "config": 3}', "\x00", '{"config": {}}']
)
def test_a_config_that_makes_no_sense_is_an_error(run: Run, content: str) -> None:
    (run.path / "config.json").write_text(content)
    with pytest.raises(RunError, match=r"config\.json"):
        Run.open(run.path)
