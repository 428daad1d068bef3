"""The compiled steps: against a plain loop of Optax updates, on one device and two, with ragged batches."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

from jax_lstm.config import Config, ConfigError
from jax_lstm.data import epoch_batches
from jax_lstm.model import RecurrentClassifier, with_weights
from jax_lstm.steps import (
    AXIS,
    TrainState,
    init_state,
    make_chunk,
    make_optimizer,
    make_predict,
    on_devices,
    split_over_devices,
    start_devices,
)

N = 23
TOTAL = 12
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 28, 28)).astype(np.uint8)
LABELS = np.random.default_rng(1).integers(0, 10, N).astype(np.int32)
SMALL = Config(
    hidden_size=5, batch_size=6, epochs=3, weight_decay=0.0, schedule="constant", warmup_fraction=0.0
)
EXACT = replace(
    SMALL, dtype="float64", max_shift=0, max_rotation=0.0, max_scale=0.0, clip_norm=0.0, ema_decay=0.0
)


def train(
    config: Config, devices: int, chunks: tuple[int, ...] = (4, 4, 4)
) -> tuple[TrainState, np.ndarray, int]:
    """Train for three epochs of four batches (6, 6, 6, 5 images) in chunks of steps."""
    mesh = Mesh(jax.local_devices()[:devices], (AXIS,))
    state = init_state(config, TOTAL, mesh)
    images, labels = on_devices(IMAGES, mesh), on_devices(LABELS, mesh)
    chunk = make_chunk(config, TOTAL, mesh)
    epochs = [
        epoch_batches(np.arange(N, dtype=np.int32), 6, config.seed, epoch, devices) for epoch in range(3)
    ]
    index, weight = (np.concatenate(a) for a in zip(*epochs, strict=True))
    losses, correct, at = [], 0, 0
    for n in chunks:
        rows = np.arange(at, at + 4) % 12
        i, w = (split_over_devices(a[rows], mesh) for a in (index, weight))
        state, result = chunk(state, images, labels, i, w, n)
        losses.extend(result.loss[:n])
        correct += int(result.correct[:n].sum())
        at += n
    assert chunk._cache_size() == 1
    return state, np.array(losses), correct


def plain(config: Config) -> tuple[dict[str, jax.Array], list[float]]:
    """The same training as one reads it in a textbook: no chunk, no mesh, no padding."""
    mesh = Mesh(jax.local_devices()[:1], (AXIS,))
    weights = init_state(config, TOTAL, mesh).weights
    optimizer = make_optimizer(config, TOTAL)
    opt_state, losses = optimizer.init(weights), []
    model = _model(config)
    for epoch in range(3):
        index, weight = epoch_batches(np.arange(N, dtype=np.int32), 6, config.seed, epoch)
        for rows, real in zip(index, weight, strict=True):
            x = jnp.asarray(IMAGES[rows[real > 0]], jnp.float64) / 255
            y = LABELS[rows[real > 0]]

            def loss_of(w: dict, x: jax.Array = x, y: np.ndarray = y) -> jax.Array:
                logits = with_weights(model, w)(x, backward="plain")
                return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

            loss, grads = jax.value_and_grad(loss_of)(weights)
            updates, opt_state = optimizer.update(grads, opt_state, weights)
            weights = optax.apply_updates(weights, updates)
            losses.append(float(loss))
    return weights, losses


def _model(config: Config) -> RecurrentClassifier:
    from flax import nnx

    return RecurrentClassifier(config, rngs=nnx.Rngs(params=9))


def test_the_steps_themselves_promote_nothing() -> None:
    with jax.enable_x64(True):
        for dtype in ("float32", "float64", "bfloat16"):
            config = replace(SMALL, optimizer="sgd", dtype=dtype, max_shift=2, max_rotation=5.0)
            assert np.isfinite(train(config, 2)[1]).all()


OPTIMIZERS = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.1},
    "momentum": {"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "adam": {"optimizer": "adam", "learning_rate": 0.01},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 0.01, "momentum": 0.5},
    "clipped cosine": {"schedule": "warmup-cosine", "warmup_fraction": 0.3, "clip_norm": 0.1},
    "rnn": {"cell": "rnn-relu", "layers": 2, "biases": 2},
}


@pytest.mark.usefixtures("optax_promotion")
@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_chunks_on_devices_are_the_plain_loop(name: str, devices: int) -> None:
    config = replace(EXACT, **OPTIMIZERS[name])
    with jax.enable_x64(True):
        weights, expected = plain(config)
        state, losses, _ = train(config, devices)
    # float64 rounding, which Adam's division by small gradients and twelve steps enlarge
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    assert int(state.step) == TOTAL
    for name_, w in weights.items():
        np.testing.assert_allclose(state.weights[name_], w, rtol=1e-7, atol=1e-9, err_msg=name_)


def test_the_count_of_right_images_leaves_out_the_padding() -> None:
    frozen = replace(EXACT, optimizer="sgd", learning_rate=0.0)
    with jax.enable_x64(True):
        state, _, correct = train(frozen, 2)
        mesh = Mesh(jax.local_devices()[:2], (AXIS,))
        index = split_over_devices(np.resize(np.arange(N, dtype=np.int32), (2, 12)), mesh)
        logits = make_predict(frozen, mesh)(state.weights, on_devices(IMAGES, mesh), index)
    predictions = np.asarray(logits).reshape(-1, 10)[:N].argmax(1)
    assert correct == 3 * int((predictions == LABELS).sum())


@pytest.mark.usefixtures("optax_promotion")
@pytest.mark.parametrize("devices", [1, 2])
def test_a_run_does_not_depend_on_where_chunks_end(devices: int) -> None:
    config = replace(SMALL, max_shift=2, max_rotation=5.0, ema_decay=0.9)
    a, losses_a, _ = train(config, devices)
    b, losses_b, _ = train(config, devices, chunks=(1, 4, 3, 4))
    np.testing.assert_array_equal(losses_a, losses_b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.usefixtures("optax_promotion")
def test_two_devices_differ_from_one_by_rounding_only() -> None:
    config = replace(SMALL, max_shift=2, max_rotation=5.0, dtype="float64")
    with jax.enable_x64(True):
        (a, _, _), (b, _, _) = train(config, 1), train(config, 2)
    for name, w in a.weights.items():
        np.testing.assert_allclose(b.weights[name], w, rtol=1e-7, atol=1e-9)


def test_every_step_draws_its_augmentation_anew() -> None:
    config = replace(EXACT, max_shift=2, optimizer="sgd", learning_rate=0.0, batch_size=N)
    mesh = Mesh(jax.local_devices()[:1], (AXIS,))
    index = split_over_devices(np.tile(np.arange(N, dtype=np.int32), (4, 1)), mesh)
    weight = split_over_devices(np.ones((4, N), np.float32), mesh)
    images, labels = on_devices(IMAGES, mesh), on_devices(LABELS, mesh)
    with jax.enable_x64(True):
        state = init_state(config, TOTAL, mesh)
        _, result = make_chunk(config, TOTAL, mesh)(state, images, labels, index, weight, 4)
    assert len(set(np.asarray(result.loss).tolist())) == 4


def test_the_moving_average_follows_the_weights() -> None:
    config = replace(EXACT, ema_decay=0.75, optimizer="sgd", learning_rate=0.1)
    with jax.enable_x64(True):
        expected = init_state(config, TOTAL, Mesh(jax.local_devices()[:1], (AXIS,))).weights["b_out"]
        for steps in (1, 2):
            weights = train(config, 1, chunks=(steps,))[0].weights["b_out"]
            expected = 0.75 * expected + 0.25 * weights
        found = train(config, 1, chunks=(2,))[0].average["b_out"]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.usefixtures("optax_promotion")
def test_the_seed_decides_weights_and_augmentation() -> None:
    config = replace(SMALL, max_shift=2)
    (a, _, _), (b, _, _), (c, _, _) = train(config, 1), train(config, 1), train(replace(config, seed=1), 1)
    for name in a.weights:
        np.testing.assert_array_equal(a.weights[name], b.weights[name])
        assert not np.array_equal(a.weights[name], c.weights[name])


def test_more_devices_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    with pytest.raises(ConfigError, match="--devices 2: JAX sees 1"):
        start_devices(Config(devices=2))
