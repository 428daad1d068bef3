"""The Flax model: its canonical weights, its equations end to end, its precisions."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jax_lstm.cell import STEPS
from jax_lstm.config import Config
from jax_lstm.model import RecurrentClassifier, weights_header, weights_of, with_weights
from jax_lstm.scan import split_layers

SMALL = Config(hidden_size=6, layers=2, biases=2)
IMAGES = np.random.default_rng(0).random((3, 28, 28), np.float32)


def model(config: Config, seed: int = 0) -> RecurrentClassifier:
    return RecurrentClassifier(config, rngs=nnx.Rngs(params=seed))


def test_canonical_names_and_shapes() -> None:
    shapes = {name: w.shape for name, w in weights_of(model(SMALL)).items()}
    expected = {"W_out": (10, 6), "b_out": (10,)}
    for layer, inputs in ((0, 28), (1, 6)):
        for gate in "ifoc":
            expected |= {f"layers.{layer}.W_{gate}": (6, 6), f"layers.{layer}.U_{gate}": (6, inputs)}
            expected |= {f"layers.{layer}.b_{gate}": (6,), f"layers.{layer}.bh_{gate}": (6,)}
    assert shapes == expected


@pytest.mark.parametrize("cell", ["lstm", "rnn-tanh", "rnn-relu"])
def test_logits_are_the_equations_from_zero_state_over_the_rows(cell: str) -> None:
    config = replace(SMALL, cell=cell, dtype="float64")
    with jax.enable_x64(True):
        m = model(config)
        weights = weights_of(m)
        x = [jnp.asarray(IMAGES[:, t], jnp.float64) for t in range(28)]
        for p in split_layers(weights, config.cell):
            state = (jnp.zeros((3, 6)),) * (2 if cell == "lstm" else 1)
            for t in range(28):
                state = STEPS[config.cell](p, state, x[t])
                x[t] = state[0]
        expected = x[-1] @ weights["W_out"].T + weights["b_out"]
        found = m(jnp.asarray(IMAGES))
        assert found.dtype == jnp.float64
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(("dtype", "at_most", "at_least"), [("float32", 1e-6, 0), ("bfloat16", 0.05, 1e-4)])
def test_lower_precision_differs_by_its_rounding(dtype: str, at_most: float, at_least: float) -> None:
    with jax.enable_x64(True):
        exact = model(replace(SMALL, dtype="float64"))
        rounded = {name: w.astype(jnp.float32) for name, w in weights_of(exact).items()}
        other = with_weights(model(replace(SMALL, dtype=dtype)), rounded)(jnp.asarray(IMAGES))
        assert other.dtype == jnp.float32
        difference = float(jnp.abs(exact(jnp.asarray(IMAGES)) - other.astype(jnp.float64)).max())
    assert at_least <= difference <= at_most


def test_weights_can_be_exchanged() -> None:
    a, b = model(SMALL, 0), model(SMALL, 1)
    assert not np.array_equal(a(jnp.asarray(IMAGES)), b(jnp.asarray(IMAGES)))
    np.testing.assert_array_equal(with_weights(b, weights_of(a))(jnp.asarray(IMAGES)), a(jnp.asarray(IMAGES)))


def test_weights_that_do_not_fit_are_refused() -> None:
    weights = weights_of(model(SMALL))
    with pytest.raises(ValueError, match="missing or unknown: W_out"):
        with_weights(model(SMALL), {name: w for name, w in weights.items() if name != "W_out"})
    with pytest.raises(ValueError, match=r"b_out must be \(10,\), got \(9,\)"):
        with_weights(model(SMALL), {**weights, "b_out": weights["b_out"][:9]})


def test_the_header_names_layout_and_sizes() -> None:
    header = weights_header(SMALL)
    assert (header["gates"], header["hidden_size"], header["layers"], header["biases"]) == (
        "i, f, o, c",
        "6",
        "2",
        "2",
    )
    assert "act(W h + U x + b)" in header["layout"]


def test_jit_agrees_with_numpy_at_32769_rows() -> None:
    """jax 0.10.2 computed this wrongly on the CPU (jax-ml/jax#39103), which is why it is excluded."""
    rows = np.zeros((32_769, 3), np.float32)
    rows[:, 0] = np.arange(32_769)
    square = jax.jit(jax.vmap(lambda row: jnp.sum((jnp.eye(3, dtype=jnp.float32) @ row) ** 2)))
    np.testing.assert_array_equal(square(jnp.asarray(rows)), (rows**2).sum(1))
