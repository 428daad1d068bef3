"""Compiled programs, kept in the cache folder: a second start with the same settings compiles nothing."""

import hashlib
import platform
from contextlib import suppress
from pathlib import Path

import jax

from jax_lstm import cache

LARGEST = 256 * 2**20
"""Bytes; beyond it the programs used longest ago are deleted."""

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
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_compilation_cache_max_size", LARGEST)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _processor() -> str:
    """A name for this kind of processor: others, with the same home directory, need other machine code."""
    kind = [platform.machine(), platform.processor()]
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind += sorted(
            {line for line in lines if line.startswith(("model name", "flags", "Features", "CPU "))}
        )
    return hashlib.sha256("\n".join(kind).encode()).hexdigest()[:16]
