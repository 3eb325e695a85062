"""The gradient of a block of scores, ds = p (dp - Δ) with dp = do vᵀ and Δ = Σ_j p_j dp_j = do · o, and its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.operators.attention.problem import Problem
from harness.operators.attention.reference.scores import ScoreBlock
from harness.operators.attention.reference.weights import Weights
from harness.operators.reference.approximate import Approximate, moved
from harness.operators.reference.roundoff import EXP_ULPS, Roundoff


@dataclass(frozen=True)
class Given:
    """A block's rows of q and do, and its heads' k and v, `(heads, …, dim)`, float64 and finite."""

    q: Approximate
    k: Approximate
    v: Approximate
    do: Approximate


@dataclass(frozen=True)
class ScoreGradient:
    """Of a block."""

    p: Approximate
    """`(heads, rows, kv_len)`"""
    ds: Approximate
    """`(heads, rows, kv_len)`, through the softcap."""
    most: np.ndarray
    """(heads, rows, head_dim): the most that scale Σ_j |ds_j k_j| can be where the scores leave the weights open.

    Infinite elsewhere."""


def score_gradient(problem: Problem, scores: ScoreBlock, weights: Weights, given: Given) -> ScoreGradient:
    """ds of a block and its error, in terms of those of the weights."""
    unit = Roundoff.of(problem.dtype)
    # Beyond the error of its score, a weight has those of exp, of normalising, of the row's sum and of storing.
    relative = (3 + EXP_ULPS) * unit.accumulator + unit.storage + unit.gamma(problem.kv_len)
    p = Approximate(weights.p, weights.deviation + weights.highest * relative, unit.smallest * scores.seen)
    dp = _output_gradient(problem, unit, given)
    row = _row_term(problem, unit, scores, weights, dp, given, relative)
    shifted = weights.move_rows(dp.value, row.value)

    centred = np.abs(dp.value - row.value)
    ds = weights.p * (dp.value - row.value)
    difference = dp.error + row.error + shifted + 2 * unit.accumulator * (np.abs(dp.value) + np.abs(row.value))
    error = p.error * centred + weights.highest * difference
    error += (unit.storage + unit.accumulator) * (np.abs(ds) + error)
    floor = p.floor * centred + weights.highest * (dp.floor + row.floor) + 2 * unit.smallest
    floor = np.where(scores.seen, floor, 0.0)

    steepest = np.ones_like(ds)
    if scores.cap_slope is not None:
        assert scores.cap_slope_error is not None
        error = error * scores.cap_slope + (np.abs(ds) + error) * scores.cap_slope_error
        ds = ds * scores.cap_slope
        steepest = np.minimum(scores.cap_slope + scores.cap_slope_error, 1.0)
    most = _most(weights, dp, row, abs(problem.scale) * (1 + 2 * relative) * given.k.size, steepest)
    return ScoreGradient(p, Approximate(ds, error, floor), most)


def _output_gradient(problem: Problem, unit: Roundoff, given: Given) -> Approximate:
    """dp = do vᵀ, whose operands may be flushed to zero when they are read, and its products."""
    value = given.do.value @ given.v.value.swapaxes(-1, -2)
    abs_do, abs_v = given.do.size, given.v.size
    error = unit.gamma(problem.v_head_dim) * (abs_do @ abs_v.swapaxes(-1, -2)) + unit.storage * np.abs(value)
    error += (1 + unit.storage) * moved(given.do, given.v.transposed())
    floor = unit.smallest * (abs_v.sum(axis=-1)[:, None] + abs_do.sum(axis=-1, keepdims=True) + 1)
    return Approximate(value, error, floor + unit.smallest_product * problem.v_head_dim)


def _row_term(
    problem: Problem,
    unit: Roundoff,
    scores: ScoreBlock,
    weights: Weights,
    dp: Approximate,
    given: Given,
    relative: float,
) -> Approximate:
    """Δ, (heads, rows, 1), which may also be taken as do · o from the stored output; the error leaves the scores' out."""
    value = np.sum(weights.p * dp.value, axis=-1, keepdims=True)
    abs_do, abs_v, size = given.do.size, given.v.size, np.abs(dp.value)
    over_values = unit.gamma(problem.v_head_dim)
    error = weights.largest_mean(dp.error) + (relative + unit.gamma(problem.kv_len)) * weights.largest_mean(size)
    error += (unit.storage + over_values) * (abs_do * np.abs(weights.p @ given.v.value)).sum(axis=-1, keepdims=True)
    count = scores.seen.sum(axis=-1, keepdims=True)
    floor = weights.largest_mean(dp.floor) + unit.smallest * np.sum(scores.seen * size, axis=-1, keepdims=True)
    floor += unit.smallest * ((scores.seen @ abs_v + 2) * abs_do).sum(axis=-1, keepdims=True)
    floor += unit.smallest_product * (count + problem.v_head_dim)
    return Approximate(value, error, floor)


def _most(weights: Weights, dp: Approximate, delta: Approximate, size: np.ndarray, steepest: np.ndarray) -> np.ndarray:
    """Whatever the weights are, Σ_j p_j |dp_j - Δ| is at most half of the range of dp. `size` is that of scale k."""
    most = np.full((*dp.value.shape[:2], size.shape[-1]), np.inf)
    for at in np.argwhere(weights.loose):
        row = tuple(at)
        alive = weights.alive[row]
        half_range = np.ptp(dp.value[row][alive]) / 2 + dp.error[row][alive].max() + delta.error[row]
        most[row] = half_range * (steepest[row][alive, None] * size[at[0], alive]).max(axis=0)
    return most
