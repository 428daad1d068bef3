"""What is known of one file of the zoo."""

from dataclasses import dataclass
from pathlib import Path

from parity.doctor.findings import Part, Verdict

CELLS = Path(__file__).parent / "cells"
"""The folder of the students' files."""


@dataclass(frozen=True)
class Specimen:
    """A student's file, and what an examination has to say of it.

    Attributes:
        file: its name in `CELLS`, "torch_f_tanh.py".
        about: one line on the fault and where it hides.
        expected: (where, kind) of each fault; empty for a file that is right or cannot be run.
        warnings: kinds of re-labelling, one of which has to be named: right, but for its names.
        source: address of a public thread with the same fault; the code here is not taken from it.
        right: whether nothing at all is to be said of it.
    """

    file: str
    about: str
    expected: tuple[tuple[Part, str], ...]
    warnings: tuple[str, ...] = ()
    source: str | None = None
    right: bool = False

    @property
    def path(self) -> Path:
        """Where the file is."""
        return CELLS / self.file

    @property
    def framework(self) -> str:
        """ "torch", "jax" or "numpy"."""
        return self.file.partition("_")[0]

    @property
    def verdict(self) -> Verdict:
        """What has to be said of the whole file."""
        if self.expected:
            return "wrong"
        return "correct" if self.warnings or self.right else "unexamined"
