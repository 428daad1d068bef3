"""The doctor over the whole zoo: how many known wrong cells it catches, and how many it names."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from parity.doctor.diagnose import diagnose
from parity.doctor.findings import Diagnosis
from parity.doctor.table import Row
from parity.doctor.zoo import ZOO, Specimen

UNEXAMINED = (("file", "unexamined"),)
"""What is expected of a file that cannot be run."""


def examine(specimens: tuple[Specimen, ...] = ZOO, *, seed: int = 0, jobs: int = 2) -> Iterator[Row]:
    """One row per specimen, in their order; the files run in processes of their own, `jobs` at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        diagnoses = pool.map(lambda s: diagnose(s.path, seed=seed), specimens)
        yield from map(judge, specimens, diagnoses)


def judge(specimen: Specimen, diagnosis: Diagnosis) -> Row:
    """How a diagnosis compares with what is known of the specimen."""
    found = tuple((f.gate, f.kind) for f in diagnosis.faults)
    warned = {w.partition(":")[0] for w in diagnosis.warnings}
    right = diagnosis.verdict == specimen.verdict
    return Row(
        file=specimen.file,
        about=specimen.about,
        expected=specimen.expected or tuple(("warning", w) for w in specimen.warnings) or UNEXAMINED,
        found=UNEXAMINED
        if diagnosis.verdict == "unexamined"
        else found or tuple(("warning", w) for w in sorted(warned)),
        verdict=diagnosis.verdict,
        caught=right and (not specimen.warnings or bool(warned & set(specimen.warnings))),
        named=right and set(found) == set(specimen.expected) and set(specimen.warnings) <= warned,
        wrong_name=not set(found) <= set(specimen.expected),
        seconds=diagnosis.seconds,
    )
