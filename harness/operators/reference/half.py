"""A definition computed in a half type, as a measure of what the dtype costs.

Every array that is stored is rounded to the dtype, sums are not. What this loses an implementation may lose too, somewhat more,
and the rounding of its result; see docs/tolerance.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.reference.part import Part
from harness.operators.reference.roundoff import Roundoff

DTYPES = ("bfloat16", "float16")

ONCE, REPEATED = 2.0, 1.25
"""Of the error in the half type, how much is admitted: twice that of one computation, which may have been lucky (the rule of
tests/test_flash_attn.py of FlashAttention-2), and a quarter more than the largest of many."""

DRAWS, MAX_REPEATS = 4096, 32
"""Rows of scores to draw roundings for, so that the largest error is no matter of luck; and the most repetitions for it."""

Stored = Callable[[np.ndarray], np.ndarray]
"""float64 to float64, through the half type."""


@dataclass
class InHalf:
    """An output computed in the half type, float64."""

    value: np.ndarray
    ill_conditioned: np.ndarray
    """Boolean, broadcastable to `value`: the rows whose scores are too large for it to be a yardstick."""


def limits(
    dtype: str, rows: int, compute: Callable[[Stored], Mapping[str, InHalf]], right: Mapping[str, Part]
) -> dict[str, np.ndarray]:
    """The largest error beyond underflow of an element, by this criterion alone; infinite in ill-conditioned rows.

    `compute` gives the outputs with every stored array passed through its argument; `rows` is how many rows of scores that
    takes. Twice the largest error in the half type, or less where it is repeated with other roundings, since rows are few;
    and one unit in the last place of the largest element, since with one key the computation is exact.
    """
    repeats = min(MAX_REPEATS, max(1, DRAWS // max(1, rows)))
    found = compute(rounded(dtype))
    counted = {n: ~np.broadcast_to(found[n].ill_conditioned | part.undefined, part.value.shape) for n, part in right.items()}
    largest = {n: _largest(part.value, counted[n]) for n, part in right.items()}
    error = {n: _largest(found[n].value - part.value, counted[n]) for n, part in right.items()}
    for number in range(1, repeats):
        again = compute(rounded_at_random(dtype, number))
        error = {n: max(error[n], _largest(again[n].value - part.value, counted[n])) for n, part in right.items()}
    unit, factor = Roundoff.of(dtype), max(REPEATED, ONCE / np.sqrt(repeats))
    return {n: np.where(counted[n], factor * error[n] + 2 * unit.storage * largest[n], np.inf) for n in right}


def _largest(x: np.ndarray, counted: np.ndarray) -> float:
    return float(np.abs(x)[counted & np.isfinite(x)].max(initial=0.0))


def rounded(dtype: str) -> Stored:
    """Rounds to nearest, as storing does."""

    def stored(x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return x.astype(NUMPY_DTYPES[dtype]).astype(np.float64)

    return stored


def rounded_at_random(dtype: str, seed: int) -> Stored:
    """Moves each number by up to half a unit in its last place, evenly drawn: a rounding that might as well have been."""
    rng, unit = np.random.default_rng(seed), Roundoff.of(dtype)

    def stored(x: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            half_place = np.maximum(
                np.exp2(np.floor(np.log2(np.maximum(np.abs(x), 1e-300)))) * unit.storage, unit.smallest / 2
            )
            moved = x + half_place * rng.uniform(-1, 1, x.shape)
        return np.where((x == 0) | ~np.isfinite(x) | (np.abs(x) == 1), x, moved)

    return stored
