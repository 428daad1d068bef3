"""Compiled programs, kept in the cache folder: a second start with the same settings compiles nothing."""

import hashlib
import os
import platform
from contextlib import suppress
from pathlib import Path

import jax

from jax_lstm import cache

LARGEST = 256 * 2**20
"""Bytes; beyond it the programs used longest ago are deleted."""

WORTH_KEEPING = 0.1
"""Seconds of compiling, below which a program is compiled again."""

_TELLING = ("model name", "flags", "CPU ", "Features")


def keep_programs() -> None:
    """Let JAX keep its programs from now on. Where the folder cannot be made it compiles at every start.

    Not done where the user named a folder of their own (JAX_COMPILATION_CACHE_DIR);
    JAX_ENABLE_COMPILATION_CACHE=false turns it off.
    """
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    folder = cache.folder() / "programs" / _processor()
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _delete_unfinished(folder)
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_compilation_cache_max_size", LARGEST)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_KEEPING)


def _delete_unfinished(folder: Path) -> None:
    """A process that was killed while it wrote a program left it without the time of its last use."""
    for program in folder.glob("*-cache"):
        if not program.with_name(program.name.removesuffix("-cache") + "-atime").exists():
            program.unlink(missing_ok=True)


def _processor() -> str:
    """A name for this kind of processor: others, with the same home directory, need other machine code."""
    kind = [platform.machine(), platform.processor()]
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind += sorted({line for line in lines if line.startswith(_TELLING)})
    return hashlib.sha256("\n".join(kind).encode()).hexdigest()[:16]
