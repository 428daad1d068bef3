"""Augmentation: what it moves, how far, and that it is the same on any number of devices."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_lstm.augment import augment
from jax_lstm.config import Config

PLAIN = Config(max_shift=0, max_rotation=0.0, max_scale=0.0)


def apply(config: Config, images: np.ndarray, device: int = 0, devices: int = 1, seed: int = 0) -> np.ndarray:
    key, device_ = jax.random.key(seed), jnp.asarray(device, jnp.int32)
    return np.asarray(augment(config, key, jnp.asarray(images, jnp.float32), device_, devices))


def dots(count: int) -> np.ndarray:
    """Images with one white pixel at (14, 10)."""
    images = np.zeros((count, 28, 28), np.float32)
    images[:, 14, 10] = 1
    return images


def test_without_ranges_nothing_changes() -> None:
    images = np.random.default_rng(0).random((3, 28, 28))
    np.testing.assert_array_equal(apply(PLAIN, images), images.astype(np.float32))


@pytest.mark.parametrize("extra", [{}, {"max_rotation": 1e-6}], ids=["whole pixels", "interpolated"])
def test_a_shift_reaches_every_place_and_none_beyond(extra: dict) -> None:
    moved = apply(replace(PLAIN, max_shift=2, **extra), dots(500))
    assert moved.sum((1, 2)) == pytest.approx(np.ones(500), abs=1e-4)
    places = {divmod(int(p), 28) for p in moved.reshape(500, -1).argmax(1)}
    assert places == {(14 + dy, 10 + dx) for dy in range(-2, 3) for dx in range(-2, 3)}


def test_what_comes_into_view_is_empty() -> None:
    moved = apply(replace(PLAIN, max_shift=2), np.ones((200, 28, 28)))
    kept = moved.sum((1, 2)) / 784
    assert kept.min() == pytest.approx(26 * 26 / 784)
    assert kept.max() == 1


def test_rotation_stays_within_its_angle_and_keeps_the_distance_from_the_centre() -> None:
    moved = apply(replace(PLAIN, max_rotation=30.0), np.repeat(disc(13.5 + 8, 13.5), 300, 0))
    y, x = centres(moved)
    angles = np.degrees(np.arctan2(x - 13.5, y - 13.5))
    assert np.abs(angles).max() <= 30.5
    assert angles.max() > 27
    assert angles.min() < -27
    np.testing.assert_allclose(np.hypot(y - 13.5, x - 13.5), 8, atol=0.1)


def test_scale_stays_within_its_factor() -> None:
    moved = apply(replace(PLAIN, max_scale=0.25), np.repeat(disc(13.5 + 8, 13.5), 300, 0))
    y, x = centres(moved)
    np.testing.assert_allclose(x, 13.5, atol=0.05)
    assert (y - 13.5).max() == pytest.approx(10, abs=0.2)
    assert (y - 13.5).min() == pytest.approx(6, abs=0.2)


def test_two_devices_see_the_images_that_one_sees() -> None:
    config = replace(PLAIN, max_shift=2, max_rotation=10.0, max_scale=0.1)
    images = np.random.default_rng(0).random((6, 28, 28))
    whole = apply(config, images)
    halves = [apply(config, images[3 * d : 3 * d + 3], d, 2) for d in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(halves), whole)
    assert np.abs(apply(config, images, seed=1) - whole).max() > 0.1


def disc(y: float, x: float) -> np.ndarray:
    rows, columns = np.indices((28, 28))
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2)[None].astype(np.float32)


def centres(images: np.ndarray) -> np.ndarray:
    rows, columns = np.indices((28, 28))
    mass = images.sum((1, 2))
    return np.stack([(images * rows).sum((1, 2)) / mass, (images * columns).sum((1, 2)) / mass])
