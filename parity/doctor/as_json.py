"""A diagnosis as strict JSON, with the fields of `parity.doctor.findings` and `exit_status`.

Every number that JSON cannot say is a string, "NaN", "Infinity" or "-Infinity", as in the JSON of
`python -m parity check`: `float(x)` in Python reads each number back. Half characters (lone surrogates),
which no encoding can write, are U+FFFD. Otherwise names and prints are as the student's code gave them,
escape sequences included: who shows them must escape them.
"""

import re
from dataclasses import asdict
from math import isfinite, isnan
from typing import Any

import numpy as np

from parity.doctor.findings import Diagnosis

_HALVES = re.compile("[\ud800-\udfff]")


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The whole diagnosis in Python's own types, whatever the hints."""
    strict: dict[str, Any] = _strict({**asdict(diagnosis), "exit_status": diagnosis.exit_status})
    return strict


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {_strict(str(key)): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return _HALVES.sub("\ufffd", value)
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
