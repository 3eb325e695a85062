"""The weights of a block of rows, and how far they may move when every score is off by as much as its bound allows.

With x the scores, errors |δ_j| <= Δ_j, and p the weights, the moved weights are p_j e^δ_j / Z with Z = Σ p e^δ. A key counts
by its weight: however large the Δ of one whose weight is zero and stays zero, nothing moves. See docs/tolerance.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.operators.attention.reference.scores import ScoreBlock

NO_WEIGHT = 2.0**-100
"""A weight that can never reach this does not extend the reach of a row's values; what it could add is counted apart."""

CHUNK_ELEMENTS = 2**16
"""Elements of a (heads, rows, keys, columns) piece: half a MiB, which stays in a second-level cache."""


@dataclass(frozen=True)
class Weights:
    """A block of rows against all keys. Every array is float64 `(heads, rows, kv_len)`."""

    p: np.ndarray
    """The weights; zero in rows that see nothing or are undefined."""
    highest: np.ndarray
    """The largest that each weight can be: its own score up by Δ, all others down."""
    deviation: np.ndarray
    """The furthest that each weight can move, up or down."""
    gain: np.ndarray
    """p_j (e^Δ_j - 1) / Σ p e^-Δ. With it no mean μ = Σ p x moves by more than Σ gain |x - μ|: of the moved weights p̂,
    Σ p̂ (x - μ) = Σ p (e^δ - 1)(x - μ) / Z, since Σ p (x - μ) is zero."""

    @cached_property
    def alive(self) -> np.ndarray:
        """Boolean: the keys that can have any weight."""
        return self.highest > NO_WEIGHT

    @cached_property
    def loose(self) -> np.ndarray:
        """Boolean (heads, rows): where the reach of the values may be less than what the gain admits."""
        return self.gain.sum(axis=-1) > 1

    def move(self, values: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """How far the means `mean`, (heads, rows, columns), of `values`, (heads, kv_len, columns), may move.

        Never beyond the values of keys that can have a weight.
        """
        moved = np.empty(mean.shape)
        heads, rows, columns = mean.shape
        per_row = max(1, values.shape[1] * columns)
        together = max(1, CHUNK_ELEMENTS // (per_row * max(1, rows)))
        step = max(1, rows if together > 1 else CHUNK_ELEMENTS // per_row)
        for first in range(0, heads, together):
            for start in range(0, rows, step):
                part = slice(first, first + together), slice(start, start + step)
                moved[part] = self._moved(part, np.abs(values[part[0], None] - mean[part][:, :, None]))
        return moved

    def move_rows(self, values: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """The same for values of each row's own, `(heads, rows, kv_len)`, with the means `(heads, rows, 1)`."""
        return self._moved((slice(None), slice(None)), np.abs(values - mean)[..., None])

    def _moved(self, part: tuple[slice, slice], distance: np.ndarray) -> np.ndarray:
        """(heads, rows, columns) for distances (heads, rows, kv_len, columns) of values from their mean."""
        moved = (self.gain[part][:, :, None] @ distance)[:, :, 0]
        alive = self.alive[part]
        for at in np.argwhere(self.loose[part]):
            row = tuple(at)
            reach = distance[row][alive[row]].max(axis=0, initial=0.0) + NO_WEIGHT * distance[row].sum(axis=0)
            moved[row] = np.minimum(moved[row], reach)
        return moved

    def largest_mean(self, sizes: np.ndarray) -> np.ndarray:
        """(heads, rows, 1): the largest that Σ p x can become for sizes x >= 0, `(heads, rows, kv_len)`."""
        mean = np.sum(self.p * sizes, axis=-1, keepdims=True)
        return mean + self.move_rows(sizes, mean)


def weigh(scores: ScoreBlock) -> Weights:
    """The weights of a block of scores."""
    x, delta = scores.shifted, scores.delta
    counted = x > -np.inf
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        total = np.log(np.exp(x).sum(axis=-1, keepdims=True))
        p = np.where(counted, np.exp(x - total), 0.0)
        up, down = x + delta, x - delta
        highest = np.where(counted, 1 / (1 + np.exp(_log_sum_of_others(down) - up)), 0.0)
        lowest = np.where(counted, 1 / (1 + np.exp(_log_sum_of_others(up) - down)), 0.0)
        raised = np.where(delta < 1, p * np.expm1(np.minimum(delta, 1.0)), np.exp(np.minimum(up - total, 300.0)) - p)
        least_sum = np.exp(np.maximum(_log_sum(down) - total, -300.0))
        gain = np.where(counted, raised / least_sum, 0.0)
    deviation = np.maximum(np.maximum(highest - p, p - lowest), 0.0)
    return Weights(p, highest, deviation, gain)


def _log_sum(x: np.ndarray) -> np.ndarray:
    """log Σ_j e^x_j, (heads, rows, 1)."""
    top = x.max(axis=-1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)
    return np.log(np.exp(x - top).sum(axis=-1, keepdims=True)) + top


def _log_sum_of_others(x: np.ndarray) -> np.ndarray:
    """log Σ_{i≠j} e^x_i for every j. The largest is left out before the others are summed, so that nothing cancels."""
    if not x.size:
        return x
    top = x.argmax(axis=-1)[..., None]
    peak = np.take_along_axis(x, top, -1)
    peak = np.where(np.isfinite(peak), peak, 0.0)
    e = np.exp(x - peak)
    others = np.log(np.maximum(e.sum(axis=-1, keepdims=True) - e, 0.0)) + peak
    rest = x.copy()
    np.put_along_axis(rest, top, -np.inf, -1)
    np.put_along_axis(others, top, _log_sum(rest), -1)
    return others
