"""The parts of an answer, finished: what an output is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from harness.operators.answer import Expected, Tensor
from harness.operators.reference import half
from harness.operators.reference.part import Part

Rows = tuple[np.ndarray, int]
"""The rows of an output that are checked, and how many it has."""


def answer(
    dtype: str,
    parts: Mapping[str, Part],
    checked: Mapping[str, Rows],
    in_half: Callable[[half.Stored], Mapping[str, half.InHalf]],
    score_rows: int,
) -> Expected:
    """Values with their bounds, those of half types limited by the second criterion too.

    `in_half` and `score_rows` as in `half.limits`; an output that is not in `checked` has all its rows. Bounds include the
    oracle's own rounding, which counts only for float64 problems (there it doubles them).
    """
    if dtype in half.DTYPES:
        for name, limit in half.limits(dtype, score_rows, in_half, parts).items():
            parts[name].bound = np.minimum(parts[name].bound, limit)
    own = 2.0 if dtype == "float64" else 1.0
    return {name: _tensor(part, own, *checked.get(name, (None, 0))) for name, part in parts.items()}


def _tensor(part: Part, factor: float, rows: np.ndarray | None, length: int) -> Tensor:
    """A finished part of the answer, its bound times `factor`."""
    value = np.where(part.undefined, np.nan, part.value)
    bound = np.where(part.undefined, 0.0, factor * (part.bound + part.floor))
    return Tensor(value, bound, rows, length, part.excused)
