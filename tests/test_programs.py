import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from jax_lstm.console import exit_status

def job():
    import jax, jax.numpy as jnp
    from jax_lstm import programs
    found = []
    jax.monitoring.register_event_listener(lambda event, **_: found.append(event.rsplit("/", 1)[-1]))
    programs.WORTH_KEEPING = 0.0
    programs.keep_programs()
    value = jax.jit(lambda x: jnp.tanh(x @ x))(jnp.eye(300) / 3)
    print(float(value.sum()), found.count("cache_hits"), found.count("cache_misses"))

sys.exit(exit_status(job))
"""


def start(folder: Path, **environment: str) -> tuple[str, int, int]:
    """The script's result, and how many programs it found kept and how many it had to compile."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("JAX_") and k[:3] != "TF_"}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=inherited | {"JAX_LSTM_CACHE_DIR": str(folder), "JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "prefer-no-gather" not in result.stderr
    value, hits, misses = result.stdout.split()
    return value, int(hits), int(misses)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("programs/*/*-cache"))


def test_a_second_start_compiles_nothing(tmp_path: Path) -> None:
    value, hits, misses = start(tmp_path)
    assert hits == 0
    assert misses == len(entries(tmp_path)) > 0
    kept = entries(tmp_path)
    assert start(tmp_path) == (value, misses, 0)
    assert entries(tmp_path) == kept


def test_another_kind_of_processor_has_programs_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jax_lstm import programs

    here = programs._processor()
    assert here == programs._processor()
    monkeypatch.setattr(programs.platform, "machine", lambda: "another")
    assert programs._processor() != here


def test_a_damaged_program_is_compiled_again(tmp_path: Path) -> None:
    value, _, misses = start(tmp_path)
    for entry in entries(tmp_path):
        entry.write_bytes(entry.read_bytes()[:-20])
    assert start(tmp_path)[::2] == (value, misses)


def test_a_program_whose_writing_was_cut_off_is_written_again(tmp_path: Path) -> None:
    value, _, misses = start(tmp_path)
    for entry in entries(tmp_path):
        entry.write_bytes(entry.read_bytes()[:-20])
        entry.with_name(entry.name.replace("-cache", "-atime")).unlink()
    assert start(tmp_path) == (value, 0, misses)
    assert start(tmp_path) == (value, misses, 0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    start(tmp_path)
    (folder,) = tmp_path.glob("programs/*")
    folder.chmod(0o555)
    assert start(tmp_path)[1:] == (0, 0)


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    value, hits, misses = start(tmp_path / "file")
    assert (hits, misses) == (0, 0)
    assert start(tmp_path)[0] == value


def test_the_users_own_folder_is_left_to_the_user(tmp_path: Path) -> None:
    own = tmp_path / "own"
    start(tmp_path, JAX_COMPILATION_CACHE_DIR=str(own), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0")
    assert own.exists()
    assert entries(tmp_path) == []


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    start(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false")
    assert entries(tmp_path) == []
