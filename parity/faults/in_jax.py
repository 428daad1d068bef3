"""Faults in the backward pass that `jax_lstm` has by hand, and in its forward pass."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from jax_lstm import scan
from parity.faults.bank import Fault, Plant, entry_replaced


def _backward(cell: str, wrong: Callable[[Any], Any]) -> Plant:
    """Plants `wrong(the right one)` as the backward pass of a cell's kernel."""

    def change(kernels: dict[Any, Any]) -> dict[Any, Any]:
        return {cell: kernels[cell]._replace(backward=wrong(kernels[cell].backward))}

    return entry_replaced(scan._KERNELS, change)


def _forward(cell: str, wrong: Callable[[Any], Any]) -> Plant:
    def change(kernels: dict[Any, Any]) -> dict[Any, Any]:
        return {cell: kernels[cell]._replace(forward=wrong(kernels[cell].forward))}

    return entry_replaced(scan._KERNELS, change)


def _c_not_carried(right: Any) -> Any:
    def backward(*args: Any) -> Any:
        dz, (dc,) = right(*args)
        return dz, (jnp.zeros_like(dc),)

    return backward


def _new_c_for_old(right: Any) -> Any:
    def backward(saved: Any, dh: Array, dc: Array) -> Any:
        gates, c_before, tanh_c = saved
        return right((gates, gates.f * c_before + gates.i * gates.c_tilde, tanh_c), dh, dc)

    return backward


def _slope_of_tanh_c_missing(right: Any) -> Any:
    def backward(saved: Any, dh: Array, dc: Array) -> Any:
        gates, _, tanh_c = saved
        # right adds dh o (1 − tanh² c): what it lacks to dh o goes into dc
        return right(saved, dh, dc + dh * gates.o * tanh_c**2)

    return backward


def _candidate_slope_of_sigmoid(right: Any) -> Any:
    def backward(saved: Any, dh: Array, dc: Array) -> Any:
        c_tilde = saved[0].c_tilde
        dz, rest = right(saved, dh, dc)
        z_i, z_f, z_o, z_c = jnp.split(dz, 4, axis=-1)
        return jnp.concatenate([z_i, z_f, z_o, z_c * c_tilde / (1 + c_tilde)], axis=-1), rest

    return backward


FAULTS = (
    Fault("jax: c's gradient not carried back", "gradients", _backward("lstm", _c_not_carried), "jax"),
    Fault("jax: f's gradient from the new c", "gradients", _backward("lstm", _new_c_for_old), "jax"),
    Fault("jax: 1 − tanh² c missing", "gradients", _backward("lstm", _slope_of_tanh_c_missing), "jax"),
    Fault("jax: c̃'s slope as of a σ", "gradients", _backward("lstm", _candidate_slope_of_sigmoid), "jax"),
    Fault(
        "jax: 1 − h in place of 1 − h²",
        "gradients",
        _backward("rnn-tanh", lambda right: lambda saved, dh: (dh * (1 - saved[1]), ())),
        "jax",
    ),
    Fault(
        "jax: ReLU's gradient let through",
        "gradients",
        _backward("rnn-relu", lambda right: lambda saved, dh: (dh, ())),
        "jax",
    ),
    Fault(
        "jax: gates stacked in another order",
        "gates",
        _forward("lstm", lambda right: lambda z, c: right(jnp.roll(z, c.shape[-1], -1), c)),
        "jax",
    ),
)
