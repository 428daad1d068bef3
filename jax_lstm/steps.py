"""The compiled parts of a run: a chunk of training steps, and the evaluation, sharded over the devices.

One mesh, one axis: every device holds the weights and all images (uint8), and takes an equal share of
each batch. Sizes: N images, S steps of a chunk, B batch (a multiple of the number of devices), C classes.
"""

import os
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.stages import Wrapped
from jaxtyping import Array, Float, Int, UInt8

from jax_lstm.augment import augment
from jax_lstm.config import Config, ConfigError
from jax_lstm.model import RecurrentClassifier, param_dtype, weights_of, with_weights
from jax_lstm.programs import keep_programs

AXIS = "batch"
# Keeps a machine of many cores from cutting a batch to crumbs, each core with its own copy of the images.
IMAGES_PER_DEVICE = 16
Weights = dict[str, Array]


class TrainState(NamedTuple):
    """All that a training step changes.

    weights: canonical names → arrays. average: their moving average, empty when ema_decay is 0.
    """

    weights: Weights
    average: Weights
    optimizer: optax.OptState
    step: Int[Array, ""]


class ChunkResult(NamedTuple):
    """What a chunk reports of each step: mean loss of its batch, and how many images it got right."""

    loss: Float[Array, " S"]
    correct: Int[Array, " S"]


def start_devices(config: Config) -> Mesh:
    """Set JAX up for this config and return the mesh. Call before anything else touches JAX.

    On a CPU every core becomes a device, as far as the batch goes round: XLA alone keeps to one core.

    Raises:
        ConfigError: JAX finds no devices, or fewer than are asked for.
    """
    keep_programs()
    useful = max(1, config.batch_size // IMAGES_PER_DEVICE)
    with suppress(RuntimeError):  # JAX runs already (in a notebook, a test): what devices it has will do
        jax.config.update("jax_num_cpu_devices", config.devices or min(cores(), useful))
    jax.config.update("jax_enable_x64", config.dtype == "float64")
    try:
        devices = jax.local_devices()
    except RuntimeError as error:
        raise ConfigError(f"JAX does not start: {error}") from error
    count = config.devices or min(len(devices), useful)
    if count > len(devices):
        raise ConfigError(f"--devices {count}: JAX sees {len(devices)} here ({devices[0].device_kind})")
    return Mesh(devices[:count], (AXIS,), axis_types=(AxisType.Auto,))


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_devices(mesh: Mesh) -> dict[str, Any]:
    """How many devices of what kind: a run is the same bit for bit on the same ones only."""
    device = mesh.devices.flat[0]
    return {"count": mesh.size, "platform": device.platform, "kind": device.device_kind}


def learning_rate(config: Config, total_steps: int) -> optax.Schedule:
    """The learning rate at each step of a run of total_steps."""
    if config.schedule == "constant":
        return optax.constant_schedule(config.learning_rate)
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=config.learning_rate,
        warmup_steps=min(round(config.warmup_fraction * total_steps), total_steps - 1),
        decay_steps=total_steps,
    )
    # of an integer step Optax computes a float32 rate, in a float64 run too
    return lambda step: schedule(jnp.asarray(step, param_dtype(config)))


def make_optimizer(config: Config, total_steps: int) -> optax.GradientTransformation:
    """The Optax optimiser of this config, with PyTorch's defaults where the two libraries differ."""
    rate = learning_rate(config, total_steps)
    momentum = config.momentum or None
    optimizer = {
        "sgd": lambda: optax.sgd(rate, momentum=momentum),
        "adam": lambda: optax.adam(rate),
        "adamw": lambda: optax.adamw(rate, weight_decay=config.weight_decay),
        # not optax.rmsprop, which scales by the learning rate before the momentum, not after it
        "rmsprop": lambda: optax.chain(
            optax.scale_by_rms(decay=0.99, eps_in_sqrt=False),
            optax.trace(momentum) if momentum else optax.identity(),
            optax.scale_by_learning_rate(rate),
        ),
    }[config.optimizer]()
    if config.clip_norm:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)
    return optimizer


def init_state(config: Config, total_steps: int, mesh: Mesh) -> TrainState:
    """The state before the first step, the same on every device."""

    def init() -> TrainState:
        weights = weights_of(RecurrentClassifier(config, rngs=nnx.Rngs(params=jax.random.key(config.seed))))
        opt_state = make_optimizer(config, total_steps).init(weights)
        average = dict(weights) if config.ema_decay else {}
        return TrainState(weights, average, opt_state, jnp.zeros((), jnp.int32))

    return jax.jit(init, out_shardings=NamedSharding(mesh, P()))()


def weight_shapes(config: Config, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """Names, shapes and dtypes of the weights of such a model, whole on every device."""
    shapes = jax.eval_shape(lambda: weights_of(RecurrentClassifier(config, rngs=nnx.Rngs(params=0))))
    everywhere = NamedSharding(mesh, P())
    return {n: jax.ShapeDtypeStruct(w.shape, w.dtype, sharding=everywhere) for n, w in shapes.items()}


def on_devices(tree: Any, mesh: Mesh) -> Any:
    """The arrays of a pytree, whole on every device."""
    return jax.device_put(tree, NamedSharding(mesh, P()))


def split_over_devices(batches: np.ndarray, mesh: Mesh) -> Array:
    """Batches [S, B] with an equal part of every batch on each device."""
    return jax.device_put(batches, NamedSharding(mesh, P(None, AXIS)))


def make_chunk(config: Config, total_steps: int, mesh: Mesh) -> Wrapped:
    """A jitted function that makes up to S training steps without returning to Python.

    The function: (state, images [N, 28, 28] uint8, labels [N], index [S, B], weight [S, B], n) →
    (state after the first n of the S steps, their ChunkResult); the state's memory is reused. Entries of
    index with weight 0 fill up a ragged batch and count for nothing.
    """
    model = _abstract_model(config)
    optimizer = make_optimizer(config, total_steps)
    key = jax.random.fold_in(jax.random.key(config.seed), 1)

    def loss_of(weights: Weights, x: Array, y: Array, share: Array) -> tuple[Array, Array]:
        logits = with_weights(model, weights)(x)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        return (losses * share).sum(), ((logits.argmax(-1).astype(y.dtype) == y) & (share > 0)).sum(
            dtype=jnp.int32
        )

    def step(
        n: Array,
        carry: tuple[TrainState, ChunkResult],
        images: Array,
        labels: Array,
        index: Array,
        share: Array,
    ) -> tuple[TrainState, ChunkResult]:
        state, result = carry
        x = pixels(images[index[n]], config)
        x = augment(config, jax.random.fold_in(key, state.step), x, lax.axis_index(AXIS), mesh.size)
        # each device differentiates its own copy of the weights
        weights = lax.pcast(state.weights, (AXIS,), to="varying")
        (loss, correct), grads = jax.value_and_grad(loss_of, has_aux=True)(
            weights, x, labels[index[n]], share[n]
        )
        grads = sum_over_devices(grads)
        updates, opt_state = optimizer.update(grads, state.optimizer, state.weights)
        weights = optax.apply_updates(state.weights, updates)
        average = state.average and optax.incremental_update(weights, state.average, 1 - config.ema_decay)
        result = ChunkResult(result.loss.at[n].set(loss), result.correct.at[n].set(correct))
        return TrainState(weights, average, opt_state, state.step + 1), result

    def chunk(
        state: TrainState, images: Array, labels: Array, index: Array, weight: Array, n: Array
    ) -> tuple[TrainState, ChunkResult]:
        S = index.shape[0]
        counts = weight.astype(param_dtype(config))
        # a row past the n-th may be empty
        share = counts / jnp.maximum(lax.psum(counts.sum(1, keepdims=True), AXIS), 1)
        nothing = ChunkResult(jnp.zeros(S, param_dtype(config)), jnp.zeros(S, jnp.int32))
        body = partial(step, images=images, labels=labels, index=index, share=share)
        state, result = lax.fori_loop(0, n, body, (state, lax.pcast(nothing, (AXIS,), to="varying")))
        return state, lax.psum(result, AXIS)

    share = P(None, AXIS)
    sharded = jax.shard_map(chunk, mesh=mesh, in_specs=(P(), P(), P(), share, share, P()), out_specs=P())
    return jax.jit(sharded, donate_argnums=0)


def sum_over_devices(tree: Any) -> Any:
    """The sum of each array over the devices, all arrays in one: every sum makes them wait for each other."""
    flat, unflatten = ravel_pytree(tree)
    return unflatten(lax.psum(flat, AXIS))


def make_predict(config: Config, mesh: Mesh) -> Wrapped:
    """A jitted function (weights, images [N, 28, 28] uint8, index [S, B]) → logits of images[index]."""
    model = _abstract_model(config)

    def predict(weights: Weights, images: UInt8[Array, "N 28 28"], index: Int[Array, "S B"]) -> Array:
        apply = with_weights(model, lax.pcast(weights, (AXIS,), to="varying"))
        return lax.map(lambda i: apply(pixels(images[i], config)), index)

    share = P(None, AXIS)
    return jax.jit(jax.shard_map(predict, mesh=mesh, in_specs=(P(), P(), share), out_specs=share))


def pixels(images: UInt8[Array, "B 28 28"], config: Config) -> Float[Array, "B 28 28"]:
    """Grey values 0 to 255 as inputs of the model, 0 to 1."""
    return images.astype(param_dtype(config)) / 255


def _abstract_model(config: Config) -> Any:
    return nnx.eval_shape(lambda: RecurrentClassifier(config, rngs=nnx.Rngs(params=0)))
