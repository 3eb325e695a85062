"""One block of query rows in float64: the scores, and how far rounding may move each of them.

The forward and the backward oracle share this; the letters are those of docs/tolerance.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.inputs import Inputs
from harness.problem import Problem
from harness.reference.roundoff import EXP_ULPS, Roundoff

BLOCK_ELEMENTS = 2**20
"""Elements of a (rows, keys) block: 8 MiB in float64, a dozen of which are alive at once."""

SWALLOWED = 2.0**-54
"""A score below this fraction of its bias leaves the sum equal to the bias, in float64 and in every narrower type."""

MAX_DELTA = 1e300
"""Keeps Δ finite where |q||k| overflows float64; such a row is undefined or judged by the reach of its values."""


@dataclass(frozen=True)
class ScoreBlock:
    """Rows of one head against all keys. Every array is `(rows, kv_len)`, float64 unless it says otherwise."""

    shifted: np.ndarray
    """Scores minus the largest of the row; -inf where a key has no weight."""
    delta: np.ndarray
    """Δ: the bound on the absolute error of each score; zero where the key is not seen."""
    seen: np.ndarray
    """Boolean: the keys that each row may attend to. A weight may still underflow to zero there."""
    undefined: np.ndarray
    """Boolean (rows, 1): the formula gives no number, since a seen score is nan or +inf, or all of them are -inf."""
    overflows: np.ndarray
    """Boolean (rows, 1): a finite score may lie beyond the accumulator's range, where kernels have an infinity."""
    cap_slope: np.ndarray | None
    """Derivative of the softcap at each score, 1 - tanh²; None without one."""
    cap_slope_error: np.ndarray | None


def row_blocks(rows: np.ndarray, kv_len: int) -> Iterator[np.ndarray]:
    """`rows` in consecutive pieces whose score blocks have bounded size."""
    step = max(1, BLOCK_ELEMENTS // max(1, kv_len))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


@np.errstate(invalid="ignore", over="ignore")
def score_block(problem: Problem, inputs: Inputs, b: int, h: int, rows: np.ndarray) -> ScoreBlock:
    """The block of query rows `rows` of batch element b and query head h."""
    unit = Roundoff.of(problem.dtype)
    q = inputs.q[b, h, rows].astype(np.float64)
    k = inputs.k[b, h // problem.group].astype(np.float64)
    s = problem.scale * (q @ k.T)
    delta = _product_error(problem, unit, q, k) + unit.storage * np.abs(s)

    slope = slope_error = None
    if problem.softcap is not None:
        slope, slope_error = _slope(problem.softcap, unit, s, delta)
        s, delta = _capped(problem.softcap, unit, s, delta)
    seen = visible(problem, inputs, b, h, rows)
    if inputs.bias is not None:
        bias = rows_of(inputs.bias, problem, b, h, rows).astype(np.float64)
        seen &= ~np.isneginf(bias)
        s, delta = _biased(unit, s, delta, np.where(seen, bias, -np.inf))

    some = seen.any(axis=1, keepdims=True)
    m = np.where(seen, s, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    broken = np.where(seen, np.isnan(s) | np.isposinf(s), False).any(axis=1, keepdims=True)
    undefined = some & (broken | ~np.isfinite(m))
    overflows = some & ~undefined & (np.where(seen, s + delta, 0.0).max(axis=1, keepdims=True) > unit.largest_score)
    counted = seen & ~undefined & np.isfinite(s)
    shifted = np.where(counted, s - np.where(np.isfinite(m), m, 0.0), -np.inf)
    delta = np.where(counted, delta + 2 * unit.accumulator * np.abs(np.where(counted, shifted, 0.0)), 0.0)
    return ScoreBlock(shifted, np.minimum(delta, MAX_DELTA), seen, undefined, overflows, slope, slope_error)


def _product_error(problem: Problem, unit: Roundoff, q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Of scale q·k: the sum in any order, the scale folded into both operands, and operands that were flushed to zero."""
    abs_q, abs_k = np.abs(q), np.abs(k)
    error = (abs_q @ abs_k.T) * (unit.gamma(problem.head_dim) + 4 * unit.storage)
    error += unit.smallest * (abs_q.sum(axis=1, keepdims=True) + abs_k.sum(axis=1))
    return abs(problem.scale) * error + problem.head_dim * unit.smallest_product


def _capped(cap: float, unit: Roundoff, s: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """c tanh(s / c) and its error: as far as the curve moves within Δ, 4 ulp of tanh, and a storing."""
    capped = cap * np.tanh(s / cap)
    moved = np.maximum(cap * np.tanh((s + delta) / cap) - capped, capped - cap * np.tanh((s - delta) / cap))
    return capped, moved + (EXP_ULPS * unit.accumulator + unit.storage) * np.abs(capped)


def _slope(cap: float, unit: Roundoff, s: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 - tanh²(s / c) and its error; the tanh that is squared has 4 ulp and may have been stored."""
    t = np.tanh(s / cap)
    slope = 1 - t * t
    ends = [1 - np.tanh((s + move) / cap) ** 2 for move in (delta, -delta)]
    moved = np.maximum(*(np.abs(end - slope) for end in ends))
    moved = np.where(np.abs(s) < delta, np.maximum(moved, t * t), moved)  # The slope is largest, 1, at zero.
    return slope, moved + 2 * (EXP_ULPS * unit.accumulator + unit.storage) * t * t + 2 * unit.accumulator


def _biased(unit: Roundoff, s: np.ndarray, delta: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """s + bias and its error; `bias` is -inf where a key is not seen.

    A bias that swallows its score in float64 swallows it in every type. Where the largest biases of a row do, those keys
    have the very same score in any arithmetic, and no error: the lowest finite number on all keys gives their mean.
    """
    total = s + bias
    size = np.where(np.isfinite(bias), np.abs(bias), 0.0)
    error = (
        delta
        + unit.accumulator * size
        + (unit.accumulator + unit.storage) * np.where(np.isfinite(total), np.abs(total), 0.0)
    )
    swallowed = (np.abs(s) + delta < SWALLOWED * size) & (bias == bias.max(axis=1, keepdims=True, initial=-np.inf))
    return total, np.where(swallowed, 0.0, error)


def visible(problem: Problem, inputs: Inputs, b: int, h: int, rows: np.ndarray) -> np.ndarray:
    """(rows, kv_len), True where causality, window and mask let the row attend to the key."""
    distance = np.arange(problem.kv_len)[None, :] - rows[:, None]
    low, high = problem.band
    seen = (distance >= low) & (distance <= high)
    if inputs.mask is not None:
        seen &= rows_of(inputs.mask, problem, b, h, rows)
    return seen


def rows_of(array: np.ndarray, problem: Problem, b: int, h: int, rows: np.ndarray) -> np.ndarray:
    """The `(rows, kv_len)` part of a mask or bias that is broadcastable to `(batch, q_heads, q_len, kv_len)`."""
    shape = (problem.batch, problem.q_heads, problem.q_len, problem.kv_len)
    return np.broadcast_to(array, shape)[b, h, rows]
