"""What the outputs of a problem should be, at the rows that are checked, and how far off they may be."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Tensor:
    """One output of the oracle. The arrays hold only the checked rows of the third axis."""

    value: np.ndarray
    """float64 `(batch, heads, len(rows), dim)`; nan where the formula gives nan or infinity."""
    bound: np.ndarray
    """The largest admissible absolute difference of each element; zero where the output must be exactly zero."""
    rows: np.ndarray
    """Indices of the checked rows (queries for o and dq, keys for dk and dv)."""
    length: int
    """Rows of the whole output."""
    excused: np.ndarray | bool = False
    """Boolean: where an output may be nan or infinite though the formula gives a number, since a nan or an infinity is
    hidden from its row, or a score lies beyond the accumulator's range."""


Expected = dict[str, Tensor]
"""{"o": …}, or {"dq": …, "dk": …, "dv": …}."""


def save(answer: Expected, path: Path) -> None:
    """Write an answer for the workers to read."""
    fields = [field.name for field in dataclasses.fields(Tensor)]
    arrays = {f"{name}.{field}": np.asarray(getattr(t, field)) for name, t in answer.items() for field in fields}
    np.savez(path, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Expected:
    """Read what `save` wrote."""
    with np.load(path) as stored:
        names = sorted({key.partition(".")[0] for key in stored.files})
        return {
            name: Tensor(
                stored[f"{name}.value"],
                stored[f"{name}.bound"],
                stored[f"{name}.rows"],
                int(stored[f"{name}.length"]),
                stored[f"{name}.excused"],
            )
            for name in names
        }
