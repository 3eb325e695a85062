"""Arithmetics of finite precision: what a definition is computed in, to see what a dtype costs.

Values are float64 throughout; an arithmetic rounds them, or adds the errors that sums in a narrower type may have.
"""

from __future__ import annotations

import numpy as np

from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.reference.roundoff import EXP_ULPS, Roundoff


class Rounded:
    """Every array that is stored is rounded to the nearest number of the dtype; sums are exact."""

    def __init__(self, dtype: str):
        self.dtype = dtype
        self.unit = Roundoff.of(dtype)

    def stored(self, x: np.ndarray) -> np.ndarray:
        """x as an array of the dtype holds it."""
        with np.errstate(over="ignore"):
            return x.astype(NUMPY_DTYPES[self.dtype]).astype(np.float64)

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """a @ b, not stored."""
        return a @ b

    def total(self, x: np.ndarray, axis: int) -> np.ndarray:
        """The sum over an axis, which stays, not stored."""
        return x.sum(axis=axis, keepdims=True)

    def evaluated(self, y: np.ndarray) -> np.ndarray:
        """A value of exp or tanh, not stored."""
        return y


class RoundedAtRandom(Rounded):
    """Each stored number is moved by up to half a unit in its last place, evenly drawn: a rounding that might have been."""

    def __init__(self, dtype: str, seed: int):
        super().__init__(dtype)
        self._rng = np.random.default_rng(seed)

    def stored(self, x: np.ndarray) -> np.ndarray:
        unit = self.unit
        with np.errstate(invalid="ignore"):
            half_place = np.maximum(
                np.exp2(np.floor(np.log2(np.maximum(np.abs(x), 1e-300)))) * unit.storage, unit.smallest / 2
            )
            moved = x + half_place * self._rng.uniform(-1, 1, x.shape)
        return np.where((x == 0) | ~np.isfinite(x) | (np.abs(x) == 1), x, moved)


class SummedAtRandom(RoundedAtRandom):
    """Sums have errors too: of n terms a normal one of u √n max(‖terms‖₂, |sum|), u that of the accumulator.

    Rounding at each of the n partial sums adds an error of at most u times that partial sum. In an order that has nothing
    to do with the terms, partial sums are about as large as the norm of the terms, or as the sum.
    """

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        value = a @ b
        return self._disturbed(value, np.square(a) @ np.square(b), a.shape[-1])

    def total(self, x: np.ndarray, axis: int) -> np.ndarray:
        value = x.sum(axis=axis, keepdims=True)
        return self._disturbed(value, np.square(x).sum(axis=axis, keepdims=True), x.shape[axis])

    def evaluated(self, y: np.ndarray) -> np.ndarray:
        return y * (1 + EXP_ULPS * self.unit.accumulator * self._rng.uniform(-1, 1, y.shape))

    def _disturbed(self, value: np.ndarray, squares: np.ndarray, terms: int) -> np.ndarray:
        deviation = self.unit.accumulator * np.sqrt(terms * np.maximum(squares, np.square(value)))
        return value + deviation * self._rng.standard_normal(value.shape)
