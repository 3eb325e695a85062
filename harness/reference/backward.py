"""dq, dk, dv and their error bounds (Dao et al. 2022, appendix B.2, differentiated once more for the rounding errors)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.inputs import Inputs
from harness.problem import Problem
from harness.reference.roundoff import EXP_ULPS, Roundoff
from harness.reference.scores import ScoreBlock, row_blocks, score_block


@dataclass(frozen=True)
class _ScoreGradient:
    """One block of rows: the gradient of the scaled scores q·k (before scale) and of p, with bounds on both."""

    ds: np.ndarray
    ds_error: np.ndarray
    p_error: np.ndarray


def backward_rows(
    problem: Problem, inputs: Inputs, rows: np.ndarray, keys: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{"dq": (value, bound), "dk": …, "dv": …}: dq for the query rows `rows`, dk and dv for the keys `keys`.

    Every query is visited, since each contributes to every key it sees; memory stays bounded. Shapes as the gradients',
    with only the chosen rows or keys.
    """
    assert inputs.do is not None
    b_kv = (problem.batch, problem.kv_heads, len(keys))
    dq = _Sum((problem.batch, problem.q_heads, len(rows), problem.head_dim))
    dk, dv = _Sum((*b_kv, problem.head_dim)), _Sum((*b_kv, problem.v_head_dim))
    every_row = np.arange(problem.q_len)
    position = np.full(problem.q_len, -1)
    position[rows] = np.arange(len(rows))
    unit = Roundoff.of(problem.dtype)
    over_keys = unit.gamma(problem.kv_len)
    over_queries = unit.gamma(problem.q_len * problem.group)

    for b in range(problem.batch if problem.kv_len else 0):
        for h in range(problem.q_heads):
            kv = h // problem.group
            k = inputs.k[b, kv].astype(np.float64)
            v = inputs.v[b, kv].astype(np.float64)
            for block in row_blocks(every_row, problem.kv_len):
                q = inputs.q[b, h, block].astype(np.float64)
                do = inputs.do[b, h, block].astype(np.float64)
                scores = score_block(problem, inputs, b, h, block)
                gradient = _score_gradient(problem, unit, scores, v, do)
                chosen = position[block] >= 0
                at = position[block][chosen]
                ds, ds_error = gradient.ds[chosen], gradient.ds_error[chosen]
                dq.add((b, h, at), problem.scale, ds, ds_error, k, over_keys)
                ds, ds_error = gradient.ds[:, keys].T, gradient.ds_error[:, keys].T
                dk.add((b, kv), problem.scale, ds, ds_error, q, over_queries)
                p, p_error = scores.p[:, keys].T, gradient.p_error[:, keys].T
                dv.add((b, kv), 1.0, p, p_error, do, over_queries)
    sharing = problem.group if problem.group > 1 else 0
    return {
        "dq": dq.finish(unit, 0),
        "dk": dk.finish(unit, sharing),
        "dv": dv.finish(unit, sharing),
    }


def _score_gradient(problem: Problem, unit: Roundoff, scores: ScoreBlock, v: np.ndarray, do: np.ndarray) -> _ScoreGradient:
    """ds = p (dp - Δ) and how far it may be off, with dp = do vᵀ and Δ = Σ_j p_j dp_j = do · o."""
    p = scores.p
    dp = do @ v.T
    abs_dp = np.abs(do) @ np.abs(v).T
    row = np.sum(p * dp, axis=1, keepdims=True)
    centred = np.abs(dp - row)

    # Scores off by up to δ move p_j by p_j (δ_j + Σ_i p_i δ_i); exp, division, sum and storage add `relative`.
    # No weight can move by more than one.
    moved = p * scores.second_order * (scores.delta + np.sum(p * scores.delta, axis=1, keepdims=True))
    moved = np.minimum(moved, 1.0)
    relative = (3 + EXP_ULPS) * unit.accumulator + unit.storage + unit.gamma(problem.kv_len)
    p_error = moved + p * relative + unit.smallest * scores.seen

    dp_error = unit.gamma(problem.v_head_dim) * abs_dp + unit.storage * np.abs(dp) + unit.smallest
    row_error = np.sum(moved * centred + p * (relative * np.abs(dp) + dp_error), axis=1, keepdims=True)
    row_error += unit.smallest * np.sum(scores.seen * np.abs(dp), axis=1, keepdims=True)
    row_error += unit.gamma(problem.kv_len) * np.sum(p * np.abs(dp), axis=1, keepdims=True)
    # Δ may also be taken as do · o from the stored output, rounded to the problem's dtype.
    o_size = np.abs(do) * np.abs(p @ v)
    row_error += (unit.storage + unit.gamma(problem.v_head_dim)) * o_size.sum(axis=1, keepdims=True)

    ds = p * (dp - row)
    ds_error = p_error * centred + p * (dp_error + row_error + 2 * unit.accumulator * (np.abs(dp) + np.abs(row)))
    ds_error += (unit.storage + unit.accumulator) * np.abs(ds) + unit.smallest * scores.seen
    if scores.cap_slope is not None:
        assert scores.cap_slope_error is not None
        ds_error = ds_error * scores.cap_slope + np.abs(ds) * scores.cap_slope_error
        ds = ds * scores.cap_slope
    return _ScoreGradient(ds, ds_error, p_error)


class _Sum:
    """A gradient being added up over blocks, with the bound on its error and the size of what was added."""

    def __init__(self, shape: tuple[int, ...]):
        self.value, self.error, self.size = np.zeros(shape), np.zeros(shape), np.zeros(shape)

    def add(
        self, at: tuple, scale: float, left: np.ndarray, left_error: np.ndarray, right: np.ndarray, gamma: float
    ) -> None:
        """Add `scale * left @ right`, whose left side is known to within `left_error` and whose sum rounds by gamma."""
        abs_right = np.abs(right)
        part_size = abs(scale) * (np.abs(left) @ abs_right)
        self.value[at] += scale * (left @ right)
        self.error[at] += abs(scale) * (left_error @ abs_right) + gamma * part_size
        self.size[at] += part_size

    def finish(self, unit: Roundoff, sharing: int) -> tuple[np.ndarray, np.ndarray]:
        """(value, bound) with the last roundings: scaling, storing, and `sharing` stored parts added up in storage."""
        error = self.error + (unit.storage + 2 * unit.accumulator) * np.abs(self.value)
        error += unit.smallest * (self.error > 0)  # A key that nobody sees has a gradient of exactly zero.
        if sharing:
            error += unit.gamma(sharing, unit.storage) * self.size
        return self.value, error
