"""Products with weights, and sums, with bounds on their errors."""

from __future__ import annotations

import numpy as np

from harness.operators.reference.approximate import Approximate, moved
from harness.operators.reference.roundoff import Roundoff


def linear(unit: Roundoff, x: Approximate, w: np.ndarray, b: np.ndarray | None = None) -> Approximate:
    """x @ w + b for w `(n, m)` and b `(m,)`: the products summed in any order from zero or from b, and stored before b is
    added, or after, or both. Underflow is counted among the errors.

    A sum of nothing but zeros is exact, and then so is b.
    """
    weight, terms = Approximate(w), w.shape[0]
    value, size = x.value @ w, x.size @ np.abs(w)
    some = size > 0
    error = moved(x, weight) + unit.gamma(terms + 1) * (size + (0.0 if b is None else np.abs(b)))
    error = error + unit.smallest * (x.size.sum(axis=-1, keepdims=True) + np.abs(w).sum(axis=0) + 2)
    error += terms * unit.smallest_product
    error += unit.storage * (np.abs(value) + error)
    if b is not None:
        value = value + b
        error += (unit.accumulator + unit.storage) * (np.abs(value) + error)
    return Approximate(value, np.where(some, error, 0.0))


def total(unit: Roundoff, x: Approximate) -> Approximate:
    """The sum over the first axis, in any order, stored."""
    value = x.value.sum(axis=0)
    error = unit.gamma(len(x.value)) * x.size.sum(axis=0) + (0.0 if x.exact else x.error.sum(axis=0))
    error = error + (len(x.value) + 1) * unit.smallest
    return Approximate(value, error + unit.storage * (np.abs(value) + error))


def added(unit: Roundoff, *parts: Approximate) -> Approximate:
    """The sum of a few parts that were stored, each partial sum stored too."""
    value = np.sum([part.value for part in parts], axis=0)
    error = sum(part.error for part in parts)
    if len(parts) > 1:
        size = np.sum([part.size for part in parts], axis=0)
        error = error + unit.gamma(len(parts) - 1, unit.storage) * size + len(parts) * unit.smallest
    return Approximate(value, error)
