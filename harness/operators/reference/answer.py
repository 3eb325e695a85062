"""The parts of an answer, finished: what an output is compared with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.operators.answer import Expected, Tensor
from harness.operators.reference.computed import Compute, limits
from harness.operators.reference.part import Part

Rows = tuple[np.ndarray, int]
"""The rows of an output that are checked, and how many it has."""


def answer(
    dtype: str,
    parts: Mapping[str, Part],
    checked: Mapping[str, Rows],
    compute: Compute | None,
    score_rows: int,
) -> Expected:
    """Values with their bounds, which the second criterion limits too where there is a `compute`.

    `compute` and `score_rows` as in `limits`; an output that is not in `checked` has all its rows. Bounds include the
    oracle's own rounding, which counts only for float64 problems (there it doubles them).
    """
    if compute is not None:
        for name, limit in limits(dtype, score_rows, compute, parts).items():
            parts[name].bound = np.minimum(parts[name].bound, limit)
    own = 2.0 if dtype == "float64" else 1.0
    return {name: _tensor(part, own, *checked.get(name, (None, 0))) for name, part in parts.items()}


def _tensor(part: Part, factor: float, rows: np.ndarray | None, length: int) -> Tensor:
    """A finished part of the answer, its bound times `factor`."""
    value = np.where(part.undefined, np.nan, part.value)
    bound = np.where(part.undefined, 0.0, factor * (part.bound + part.floor))
    return Tensor(value, bound, rows, length, part.excused)
