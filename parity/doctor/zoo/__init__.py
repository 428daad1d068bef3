"""The zoo: wrong LSTM cells as students write them, and what `python -m parity doctor` has to say of each.

To add one:

1. Write `cells/torch_NAME.py`, `jax_NAME.py` or `numpy_NAME.py` by hand, as a student would: any names, any
   layout, comments on what its author believes it does, and not a word on what is amiss. It has to run alone,
   and to be callable as the doctor calls cells, classifiers and training steps. One fault in each file, two
   at most, or one that strikes several gates. `NAME` begins with `clf_` where a classifier is at fault, with
   `train_` where a training step is, with `same_` where the function is right, with `cannot_` where it does
   not run; with `right_` where nothing is to be said of it.
2. See that it is a fault: no renaming of its parameters makes it the equations (Lab 7) again. Where one does
   (f and i exchanged, 1 - f for f, W transposed, a constant added to a bias), it is a re-labelling: leave
   `expected` empty and put the kind in `warnings`.
3. Add its `Specimen` to `of_torch.py`, `of_torch_models.py`, `of_jax.py` or `of_numpy.py`, with the kinds of
   the doctor's bank. A `source` is an address that somebody has read; code is never copied from there.
   Right cells are in `right.py`, apart from the `ZOO`: a teacher's tests have to accept them.

`tests/test_doctor_zoo_files.py` holds files and registry together.
"""

from parity.doctor.zoo.of_jax import OF_JAX
from parity.doctor.zoo.of_numpy import OF_NUMPY
from parity.doctor.zoo.of_torch import OF_TORCH
from parity.doctor.zoo.of_torch_models import OF_TORCH_MODELS
from parity.doctor.zoo.right import RIGHT
from parity.doctor.zoo.specimen import CELLS, Specimen

__all__ = ["CELLS", "RIGHT", "ZOO", "Specimen"]

ZOO: tuple[Specimen, ...] = (*OF_TORCH, *OF_TORCH_MODELS, *OF_JAX, *OF_NUMPY)
"""All that are wrong, re-labelled, or cannot be run."""
