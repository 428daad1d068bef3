"""Strict numerics for every test, two CPU devices, and the folder of the real MNIST files."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# PyTorch's threads else wait for each other at full speed; it is read when torch is imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# what several tests compile, in processes of their own too, is compiled once
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    PROGRAMS = tempfile.TemporaryDirectory(prefix="jax-lstm-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = PROGRAMS.name
    os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] = str(2**30)  # a limit makes JAX lock the folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.devices()  # from here on there are two, whatever a test asks for
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_default_matmul_precision", "highest")
# every shape and dtype that a signature of these names is checked while the tests run
install_import_hook(
    [f"jax_lstm.{m}" for m in ("cell", "scan", "model", "augment", "steps")], "beartype.beartype"
)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two cores whatever the machine has, as two devices; and float32 again after a float64 run."""
    monkeypatch.setattr("jax_lstm.steps.cores", lambda: 2)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def optax_promotion() -> Iterator[None]:
    """Optax mixes types inside (decay ** count): tests that run its optimisers allow that."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder with the four original MNIST files; without it the test is skipped, by name."""
    folder = os.environ.get("JAX_LSTM_TEST_MNIST")
    if not folder:
        pytest.skip("real MNIST not at hand: set JAX_LSTM_TEST_MNIST")
    return Path(folder)
