"""`jax_lstm`: the default path, its batch shared by all devices, and the plain scan on one."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

from jax_lstm.model import classify
from jax_lstm.scan import Backward
from jax_lstm.steps import AXIS, IMAGES_PER_DEVICE, cores, on_devices, sum_over_devices
from parity.bench.contenders import EVALUATION_BATCH, LEARNING_RATE
from parity.bench.works import Work


class _JaxLSTM:
    def __init__(self, work: Work, backward: Backward, devices: int | None = None) -> None:
        jax.config.update("jax_num_cpu_devices", cores())
        used = jax.local_devices()[: devices or _useful_devices(work.B)]
        self.mesh = Mesh(used, (AXIS,), axis_types=(AxisType.Auto,))
        self.about = f"{backward} backward pass, {len(used)} × {used[0].device_kind}"
        logits_of = partial(_logits, work, backward)

        def step(weights: Any, x: Any, y: Any) -> Any:
            def loss_of(weights: Any) -> Any:
                losses = optax.softmax_cross_entropy_with_integer_labels(logits_of(weights, x), y)
                return losses.sum() / work.B

            loss, grads = jax.value_and_grad(loss_of)(lax.pcast(weights, (AXIS,), to="varying"))
            loss, grads = sum_over_devices((loss, grads))
            return jax.tree.map(lambda w, g: w - LEARNING_RATE * g, weights, grads), loss

        # in one program, as jax_lstm.train makes a chunk of steps
        def chunk(weights: Any, x: Any, y: Any, n: Any) -> Any:
            start = weights, jnp.zeros((), x.dtype)
            return lax.fori_loop(0, n, lambda _, now: step(now[0], x, y), start)

        parts = P(AXIS)
        sharded = partial(jax.shard_map, mesh=self.mesh)
        specs = (P(), parts, parts, P())
        self._chunk = jax.jit(sharded(chunk, in_specs=specs, out_specs=P()), donate_argnums=0)
        self._logits = jax.jit(sharded(logits_of, in_specs=(P(), parts), out_specs=parts))
        self.weights = on_devices(work.weights(), self.mesh)
        labels = work.labels(work.B).astype(np.int32)
        self.batch = tuple(self._placed(a) for a in (work.images(work.B), labels))

    def _placed(self, a: Any) -> jax.Array:
        return jax.device_put(a, jax.NamedSharding(self.mesh, P(AXIS)))

    def steps(self, n: int) -> float:
        self.weights, loss = self._chunk(self.weights, *self.batch, n)
        return float(loss)

    def logits(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        starts = range(0, len(images), EVALUATION_BATCH)
        parts = [
            self._logits(self.weights, self._placed(images[start : start + EVALUATION_BATCH]))
            for start in starts
        ]
        return np.concatenate(parts)


def _useful_devices(B: int) -> int:
    """As many as the training takes; fewer where a batch here, which nothing fills up, does not divide."""
    most = max(1, min(cores(), B // IMAGES_PER_DEVICE))
    return next(n for n in range(most, 0, -1) if not B % n and not EVALUATION_BATCH % n)


def _logits(work: Work, backward: Backward, weights: Any, x: Any) -> Any:
    zeros = jnp.zeros_like(x, shape=(work.layers, x.shape[0], work.H))
    return classify(weights, jnp.swapaxes(x, 0, 1), zeros, zeros, backward=backward)


class Fast(_JaxLSTM):
    """What `python -m jax_lstm.train` runs."""

    def __init__(self, work: Work, devices: int | None = None) -> None:
        super().__init__(work, "fast", devices)


class Plain(_JaxLSTM):
    """lax.scan over the equations, differentiated by JAX, on one device."""

    def __init__(self, work: Work) -> None:
        super().__init__(work, "plain", devices=1)
