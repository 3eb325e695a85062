"""One block of query rows in float64: probabilities, and how far rounding may move each score.

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


@dataclass(frozen=True)
class ScoreBlock:
    """Rows of one head against all keys. Every array is float64, `(rows, kv_len)` unless it says otherwise."""

    p: np.ndarray
    """Probabilities; a row with nothing to attend to is zero."""
    delta: np.ndarray
    """Δ: the bound on the absolute error of each score; zero where the key is not seen."""
    seen: np.ndarray
    """Boolean: the keys that each row may attend to. A weight may still underflow to zero there."""
    second_order: np.ndarray
    """(rows, 1): exp(2 max Δ), which covers what the first-order analysis drops."""
    cap_slope: np.ndarray | None
    """Derivative of the softcap at each score, 1 - tanh²; None without one."""
    cap_slope_error: np.ndarray | None


def row_blocks(rows: np.ndarray, kv_len: int) -> Iterator[np.ndarray]:
    """`rows` in consecutive pieces whose score blocks have bounded size."""
    step = max(1, BLOCK_ELEMENTS // max(1, kv_len))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def score_block(problem: Problem, inputs: Inputs, b: int, h: int, rows: np.ndarray) -> ScoreBlock:
    """The block of query rows `rows` of batch element b and query head h."""
    unit = Roundoff.of(problem.dtype)
    q = inputs.q[b, h, rows].astype(np.float64)
    k = inputs.k[b, h // problem.group].astype(np.float64)
    s = problem.scale * (q @ k.T)
    delta = abs(problem.scale) * (np.abs(q) @ np.abs(k).T)
    delta *= unit.gamma(problem.head_dim) + 4 * unit.storage
    delta += unit.storage * np.abs(s)

    slope = slope_error = None
    if problem.softcap is not None:
        t = np.tanh(s / problem.softcap)
        slope = 1 - t * t
        slope_error = 2 * np.abs(t) * slope * (delta / problem.softcap) + EXP_ULPS * unit.accumulator
        s = problem.softcap * t
        delta += (EXP_ULPS * unit.accumulator + unit.storage) * np.abs(s)
    if inputs.bias is not None:
        s = s + rows_of(inputs.bias, problem, b, h, rows).astype(np.float64)
        delta += (unit.accumulator + unit.storage) * np.abs(np.where(np.isfinite(s), s, 0.0))

    seen = visible(problem, inputs, b, h, rows) & (s > -np.inf)
    s = np.where(seen, s, -np.inf)
    m = s.max(axis=1, keepdims=True, initial=-np.inf)
    shifted = np.where(seen, s - np.where(np.isfinite(m), m, 0.0), -np.inf)
    delta = np.where(seen, delta + 2 * unit.accumulator * np.abs(np.where(seen, shifted, 0.0)), 0.0)
    p = np.exp(shifted)
    total = p.sum(axis=1, keepdims=True)
    p /= np.where(total > 0, total, 1.0)
    second_order = np.exp(np.minimum(2 * delta.max(axis=1, keepdims=True, initial=0.0), 700.0))
    return ScoreBlock(p, delta, seen, second_order, slope, slope_error)


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
