"""The zoo's files and its registry say the same, and no file tells what is amiss in it."""

import ast
import re
from typing import get_args

import pytest

from parity.doctor.findings import Part
from parity.doctor.zoo import CELLS, RIGHT, ZOO, Specimen

GIVE_AWAY = re.compile(
    r"\b(wrong(ly)?|bugs?|buggy|faults?|faulty|mistakes?|errors?|incorrect(ly)?|broken|oops|fixme|todo|typo"
    r"|forgot|swapped|should(n't)?|missing|invalid|errores?|fallos?|falta|mal)\b",
    re.IGNORECASE,
)
RELABELLINGS = {"complement", "negated", "transposed", "offset", "exchanged", "order", "scaled"}
EVERY = (*ZOO, *RIGHT)
of_each = pytest.mark.parametrize("specimen", EVERY, ids=lambda specimen: specimen.file)


def test_every_file_has_one_entry_and_every_entry_a_file() -> None:
    files = [specimen.file for specimen in EVERY]
    assert len(set(files)) == len(files)
    assert set(files) == {path.name for path in CELLS.glob("*.py")}


def test_files_are_distinct() -> None:
    trees = [ast.dump(ast.parse(specimen.path.read_text())) for specimen in EVERY]
    assert len(set(trees)) == len(trees)


def test_there_are_enough_of_each() -> None:
    assert len(ZOO) >= 90
    for framework, least in (("torch", 45), ("jax", 22), ("numpy", 22)):
        assert sum(specimen.framework == framework for specimen in ZOO) >= least
    assert sum(specimen.source is not None for specimen in ZOO) >= 10
    assert sum(specimen.verdict == "correct" for specimen in ZOO) >= 10


@of_each
def test_file_parses_and_does_not_give_itself_away(specimen: Specimen) -> None:
    text = specimen.path.read_text()
    ast.parse(text)
    assert not GIVE_AWAY.findall(text)
    assert "http" not in text


@of_each
def test_entry_is_valid(specimen: Specimen) -> None:
    assert specimen.framework in ("torch", "jax", "numpy")
    assert specimen.about
    assert len(set(specimen.expected)) == len(specimen.expected)
    for gate, kind in specimen.expected:
        assert gate in get_args(Part)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kind)
    assert set(specimen.warnings) <= RELABELLINGS
    assert specimen.source is None or specimen.source.startswith("https://")


@of_each
def test_name_tells_the_verdict(specimen: Specimen) -> None:
    name = specimen.file.partition("_")[2]
    verdict = {"same": "correct", "right": "correct", "cannot": "unexamined"}.get(
        name.partition("_")[0], "wrong"
    )
    assert specimen.verdict == verdict
    assert specimen.right == (specimen in RIGHT) == name.startswith("right_")
    parts = {gate for gate, _ in specimen.expected}
    assert ("classifier" in parts) == name.startswith("clf_")
    assert ("training" in parts) == name.startswith("train_")
