"""JSON as RFC 8259 has it: UTF-8, and no number that is not one.

A float that is infinite or nan is written as the string "inf", "-inf" or "nan", which `number` reads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def dumps(data: Any, indent: int | None = None) -> str:
    """A value as JSON text."""
    return json.dumps(_finite(data), indent=indent, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data


def number(value: Any) -> float:
    """A float as `dumps` wrote it. Raises `ValueError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"a number is {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number is larger than any that is measured") from None
