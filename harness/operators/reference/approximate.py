"""Values with bounds on their errors, and what a product or a rounding makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Approximate:
    """A value, what rounding may change of it, and what underflow may lose; three arrays that broadcast to one shape."""

    value: np.ndarray
    error: Any = 0.0
    floor: Any = 0.0
    """Arrays, or the number zero where there is no error at all."""

    @property
    def exact(self) -> bool:
        """Whether it is known to be free of error, so that there is nothing to compute."""
        return isinstance(self.error, float) and isinstance(self.floor, float)

    @property
    def size(self) -> np.ndarray:
        """The largest that its absolute value can be, underflow apart."""
        return np.abs(self.value) + self.error

    def map(self, change: Callable[[np.ndarray], np.ndarray]) -> Approximate:
        """The value and its errors, indexed or reshaped alike."""
        error, floor = (x if isinstance(x, float) else change(x) for x in (self.error, self.floor))
        return Approximate(change(self.value), error, floor)

    def __getitem__(self, at: int | tuple) -> Approximate:
        return self.map(lambda x: x[at])

    def transposed(self) -> Approximate:
        """The last two axes swapped."""
        return self.map(lambda x: x.swapaxes(-1, -2))


def moved(left: Approximate, right: Approximate) -> Any:
    """How far `left @ right` moves with its operands: |â b̂ - a b| <= e_a (|b| + e_b) + |a| e_b."""
    if left.exact and right.exact:
        return 0.0
    by_left = 0.0 if left.exact else left.error @ right.size
    return by_left if right.exact else by_left + np.abs(left.value) @ right.error
