"""A definition computed in the problem's dtype, as a measure of what the dtype costs.

What this loses an implementation may lose too, somewhat more, and the rounding of its result; see docs/tolerance.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.operators.reference.arithmetic import Rounded, RoundedAtRandom, SummedAtRandom
from harness.operators.reference.part import Part
from harness.operators.reference.roundoff import Roundoff

HALF = ("bfloat16", "float16")

ONCE, REPEATED = 2.0, 1.25
"""Of the error of a computation, how much is admitted: twice that of one, which may have been lucky (the rule of
tests/test_flash_attn.py of FlashAttention-2), and a quarter more than the largest of many."""

DRAWS, MAX_REPEATS = 4096, 32
"""Rows of scores to draw roundings for, so that the largest error is no matter of luck; and the most repetitions for it."""


@dataclass
class Computed:
    """An output computed in some arithmetic, float64."""

    value: np.ndarray
    ill_conditioned: np.ndarray
    """Boolean, broadcastable to `value`: the rows whose scores are too large for it to be a yardstick."""


Compute = Callable[[Rounded], Mapping[str, Computed]]
"""The definition in an arithmetic: outputs by name."""


def limits(dtype: str, rows: int, compute: Compute, right: Mapping[str, Part]) -> dict[str, np.ndarray]:
    """The largest error beyond underflow of an element, by this criterion alone; infinite in ill-conditioned rows.

    `rows` is how many rows of scores `compute` takes. Twice the largest error in the dtype's arithmetic, or less where that
    is repeated with other roundings, since rows are few; and one unit in the last place of the largest element, since with
    one key the computation is exact.
    """
    repeats = min(MAX_REPEATS, max(1, DRAWS // max(1, rows)))
    first, *others = _arithmetics(dtype, repeats)
    found = compute(first)
    counted = {n: ~np.broadcast_to(found[n].ill_conditioned | part.undefined, part.value.shape) for n, part in right.items()}
    largest = {n: _largest(part.value, counted[n]) for n, part in right.items()}
    error = {n: _largest(found[n].value - part.value, counted[n]) for n, part in right.items()}
    for other in others:
        again = compute(other)
        error = {n: max(error[n], _largest(again[n].value - part.value, counted[n])) for n, part in right.items()}
    unit, factor = Roundoff.of(dtype), max(REPEATED, ONCE / np.sqrt(repeats))
    return {n: np.where(counted[n], factor * error[n] + 2 * unit.storage * largest[n], np.inf) for n in right}


def _arithmetics(dtype: str, repeats: int) -> list[Rounded]:
    """Of half types, whose accumulators lose next to nothing, rounding to nearest and then at random; else sums with
    errors."""
    if dtype in HALF:
        return [Rounded(dtype), *(RoundedAtRandom(dtype, number) for number in range(1, repeats))]
    return [SummedAtRandom(dtype, number) for number in range(repeats)]


def _largest(x: np.ndarray, counted: np.ndarray) -> float:
    return float(np.abs(x)[counted & np.isfinite(x)].max(initial=0.0))
