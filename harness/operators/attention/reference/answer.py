"""A part of the oracle's answer while it is put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Part:
    """Arrays of one shape: `(batch, heads, rows, dim)` for an output, or a block of its rows."""

    value: np.ndarray
    """float64."""
    bound: np.ndarray
    """What rounding may change."""
    floor: np.ndarray
    """What underflow may lose beside it."""
    undefined: np.ndarray
    """Boolean: where the formula gives nan or infinity, whatever `value` holds."""
    excused: np.ndarray
    """Boolean: where an output may be nan or infinite though the formula gives a number."""

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> Part:
        """Nothing yet, or nothing to attend to: exactly zero."""
        no, false = np.zeros(shape), np.zeros(shape, bool)
        return cls(no, no.copy(), no.copy(), false, false.copy())

    def __setitem__(self, at: tuple, part: Part) -> None:
        for name in ("value", "bound", "floor", "undefined", "excused"):
            getattr(self, name)[at] = getattr(part, name)
