"""The right cells, in several styles: `cells/*_right_*.py`."""

from parity.doctor.zoo.specimen import Specimen

RIGHT: tuple[Specimen, ...] = (
    Specimen("torch_right_plain.py", "PyTorch, the handout's: a Linear per gate over [x, h]", (), right=True),
    Specimen("torch_right_fused.py", "PyTorch, two fused Linears, gates i, f, g, o", (), right=True),
    Specimen("torch_right_state.py", "PyTorch, W, U and b of each gate, takes (h, c)", (), right=True),
    Specimen("torch_right_whole.py", "PyTorch, with a classifier and a training step", (), right=True),
    Specimen("jax_right_scan.py", "JAX, (params, carry, x) for a scan", (), right=True),
    Specimen("jax_right_whole.py", "JAX, with a classifier and a training step", (), right=True),
    Specimen("numpy_right_function.py", "NumPy, (params, x, h, c)", (), right=True),
    Specimen("numpy_right_class.py", "NumPy, a class, gates fused", (), right=True),
    Specimen("numpy_right_whole.py", "NumPy, classes, with a classifier", (), right=True),
)
