"""Augmentation on the device: each training image is shifted, turned and scaled a little at random.

Sizes: B images of a batch on this device, height × width pixels.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Int, Key

from jax_lstm.config import Config


def augment(
    config: Config,
    key: Key[Array, ""],
    images: Float[Array, "B height width"],
    device: Int[Array, ""],
    devices: int,
) -> Float[Array, "B height width"]:
    """Draw a shift, an angle and a factor for each image and apply them; what comes into view is 0.

    Args:
        config: its max_shift (whole pixels), max_rotation (degrees) and max_scale are the ranges, drawn
            from evenly; an image is not touched where all three are 0.
        key: the random key of this step.
        images: this device's part of the batch, in [0, 1].
        device: number of this device; of devices in all. Every device draws for the whole batch and takes
            its part, so that the same seed gives the same images on any number of devices.

    Returns:
        The images, changed, in [0, 1].
    """
    if not (config.max_shift or config.max_rotation or config.max_scale):
        return images
    B = images.shape[0]
    k_shift, k_angle, k_scale = jax.random.split(key, 3)

    def uniform(key: Array) -> Float[Array, " B"]:
        drawn = jax.random.uniform(key, (B * devices,), images.dtype, -1, 1)
        return lax.dynamic_slice_in_dim(drawn, device * B, B)

    reach = config.max_shift
    shift = jax.random.randint(k_shift, (B * devices, 2), -reach, reach + 1)
    shift = lax.dynamic_slice_in_dim(shift, device * B, B)
    if not (config.max_rotation or config.max_scale):
        return jax.vmap(_shift, in_axes=(0, 0, None))(images, shift, reach)
    angle = math.radians(config.max_rotation) * uniform(k_angle)
    factor = 1 + config.max_scale * uniform(k_scale)
    return jax.vmap(_transform)(images, shift, angle, factor)


def _shift(image: Array, shift: Array, reach: int) -> Array:
    """The image moved down and right by shift (dy, dx), each within ±reach pixels."""
    return lax.dynamic_slice(jnp.pad(image, reach), reach - shift, image.shape)


def _transform(image: Array, shift: Array, angle: Array, factor: Array) -> Array:
    """The image scaled and turned about its centre, then moved by shift; bilinear in between pixels."""
    centre = (jnp.array(image.shape, image.dtype) - 1) / 2
    target = jnp.indices(image.shape, image.dtype) - (centre + shift.astype(image.dtype))[:, None, None]
    cos, sin = jnp.cos(angle) / factor, jnp.sin(angle) / factor
    source = jnp.einsum("st,tyx->syx", jnp.array([[cos, -sin], [sin, cos]]), target) + centre[:, None, None]
    return map_coordinates(image, list(source), order=1, mode="constant", cval=0.0)
