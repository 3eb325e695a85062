"""A part of the oracle's answer while it is put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.operators.reference.approximate import Approximate


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

    @classmethod
    def of(cls, found: Approximate, undefined: np.ndarray | bool, excused: np.ndarray | bool) -> Part:
        """A value with its error; underflow is among it."""
        shape = found.value.shape
        error = np.broadcast_to(found.error, shape).copy()
        flags = (np.broadcast_to(flag, shape) for flag in (undefined, excused))
        return cls(found.value, error, np.zeros(shape), *flags)

    @property
    def approximate(self) -> Approximate:
        """The value and its error, what underflow may lose among it."""
        return Approximate(self.value, self.bound + self.floor)

    def __setitem__(self, at: tuple, part: Part) -> None:
        for name in ("value", "bound", "floor", "undefined", "excused"):
            getattr(self, name)[at] = getattr(part, name)
