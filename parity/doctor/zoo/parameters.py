"""Parameters for specimens that are functions and leave them to their caller."""

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

_Shapes = tuple[tuple[str, Mapping[str, str]], ...]
# each with its gates, as they are called in the names, and name → sizes; S is I + H, 4 is 4 H
_ONE: Mapping[str, _Shapes] = {
    "jax_c_is_tanh_c": (("-", {"kernel_x": "I 4", "kernel_h": "H 4", "bias": "4"}),),
    "jax_c_stopped": (("-", {"w_x": "4 I", "w_h": "4 H", "b": "4"}),),
    "jax_carry_swapped": (("-", {"W": "S 4", "b": "4"}),),
    "jax_centred": (("-", {"Wx": "I 4", "Wh": "H 4", "b": "4"}),),
    "jax_f_relu": (("i f o c", {"W_{}": "S H", "b_{}": "H"}),),
    "jax_h_stopped": (("-", {"U": "I 4", "W": "H 4", "b": "4"}),),
    "jax_o_no_input": (("i f o c", {"W_{}": "H H", "b_{}": "H"}), ("i f c", {"U_{}": "I H"})),
    "jax_o_sees_new_c": (("forget input cand output", {"{}_w": "S H", "{}_b": "H"}),),
    "jax_returns_c_twice": (("i f o u", {"w_{}": "S H", "b_{}": "H"}),),
    "jax_tanh_c_sigmoid": (("i f o c", {"U_{}": "I H", "W_{}": "H H", "b_{}": "H"}),),
    "jax_times": (("i f o c", {"W{}": "H S", "b{}": "H"}),),
    "numpy_c_not_carried": (("i f o c", {"W_{}": "H H", "U_{}": "H I", "b_{}": "H"}),),
    "numpy_c_overwritten": (("f i o c", {"W_{}": "S H", "b_{}": "H"}),),
    "numpy_f_plus": (("f i o c", {"W{}": "H H", "U{}": "I H", "b{}": "H"}),),
    "numpy_f_replaced_by_o": (("-", {"Wx": "I 4", "Wh": "H 4", "b": "4"}),),
    "numpy_h_not_updated": (("f i o g", {"W{}": "S H", "b{}": "H"}),),
    "numpy_i_replaced_by_f": (("f u o c", {"W{}": "H S", "b{}": "H 1"}),),
    "numpy_o_input_of_f": (("i f o c", {"W_{}": "H H", "U_{}": "H I", "b_{}": "H"}),),
    "numpy_returns_h_twice": (("-", {"Wx": "I 4", "Wh": "H 4", "b": "4"}),),
    "numpy_tanh_c_none": (("f i c o", {"W{}": "H S", "b{}": "H 1"}),),
    "numpy_two_tanh_and_memory": (("f i c o", {"W{}": "H S", "b{}": "H 1"}),),
}
_TUPLES = {"jax_f_relu"}


def maker(file: str) -> Callable[[int, int, int], Any] | None:
    """A function (seed, input_size, hidden_size) → parameters of a specimen that has none; None where it has.

    Weights are drawn from N(0, 0.01), biases are zero, as students do.
    """
    name = PurePath(file).stem
    if name not in _ONE:
        return None

    def init(seed: int, input_size: int, hidden_size: int) -> Any:
        both, rng = input_size + hidden_size, np.random.default_rng(seed)
        sizes = {"I": input_size, "H": hidden_size, "S": both, "4": 4 * hidden_size, "1": 1}
        params = {}
        for gates, shapes in _ONE[name]:
            for gate in gates.split():
                for pattern, letters in shapes.items():
                    shape = [sizes[letter] for letter in letters.split()]
                    drawn = np.zeros(shape) if letters in ("H", "4", "H 1") else rng.normal(0, 0.1, shape)
                    params[pattern.format(gate)] = _array(drawn, name)
        return tuple(params.values()) if name in _TUPLES else params

    return init


def _array(values: Any, name: str) -> Any:
    if not name.startswith("jax"):
        return values
    import jax.numpy as jnp

    return jnp.asarray(values, jnp.float32)
