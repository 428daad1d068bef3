"""Correct cells in many layouts and styles, to show that the doctor calls none of them wrong."""

from doctor_cells_functions import jax_functions, numpy_functions
from doctor_cells_objects import array_cells
from doctor_cells_text import Right
from doctor_cells_torch import torch_cells

__all__ = ["Right", "right_cells"]


def right_cells() -> list[Right]:
    """More than 250 cells, all different and always the same: torch modules, JAX and NumPy."""
    return [*torch_cells(), *jax_functions(), *numpy_functions(), *array_cells()]
