"""o and its error bound, row by row."""

from __future__ import annotations

import numpy as np

from harness.inputs import Inputs
from harness.problem import Problem
from harness.reference.roundoff import EXP_ULPS, Roundoff
from harness.reference.scores import row_blocks, score_block


def forward_rows(problem: Problem, inputs: Inputs, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(o, bound) for the given query rows of every head, each float64 `(batch, q_heads, len(rows), v_head_dim)`."""
    shape = (problem.batch, problem.q_heads, len(rows), problem.v_head_dim)
    o, bound = np.zeros(shape), np.zeros(shape)
    if problem.kv_len == 0:
        return o, bound
    for b in range(problem.batch):
        for h in range(problem.q_heads):
            v = inputs.v[b, h // problem.group].astype(np.float64)
            done = 0
            for block in row_blocks(rows, problem.kv_len):
                part = slice(done, done + len(block))
                o[b, h, part], bound[b, h, part] = _block(problem, inputs, b, h, block, v)
                done += len(block)
    return o, bound


def _block(
    problem: Problem, inputs: Inputs, b: int, h: int, rows: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One head's rows: the output, and

    e^(2 max Δ) Σ_j p_j Δ_j |v_j - o|  +  (3 u_a + 4 u_a + u_s + 2 γ_N) (Σ_j p_j |v_j| + |o|)  +  u_s |o|

    and what underflow of a weight or of the output can lose.

    The first sum is taken by Cauchy and Schwarz, sqrt(Σ p Δ) sqrt(Σ p Δ (v - o)²), which matrix products can do, and
    never counts more than the spread of the values seen: no perturbation of the weights can move o further.
    """
    unit = Roundoff.of(problem.dtype)
    scores = score_block(problem, inputs, b, h, rows)
    centred = v - v.mean(axis=0)  # The first sum does not change when a constant is added to v; this keeps its digits.
    o_centred = scores.p @ centred
    empty = ~scores.p.any(axis=1, keepdims=True)
    o = scores.p @ v

    weight = scores.p * scores.delta
    total = weight.sum(axis=1, keepdims=True)
    spread = weight @ centred**2 - 2 * o_centred * (weight @ centred) + total * o_centred**2
    moved = scores.second_order * np.sqrt(total * np.maximum(spread, 0.0))
    furthest = np.maximum(centred.max(axis=0) - o_centred, o_centred - centred.min(axis=0))
    moved = np.minimum(moved, furthest)

    n = problem.kv_len
    rounding = (3 + EXP_ULPS) * unit.accumulator + unit.storage + 2 * unit.gamma(n)
    bound = moved + rounding * (scores.p @ np.abs(v) + np.abs(o)) + unit.storage * np.abs(o)
    bound += unit.smallest * (scores.seen @ np.abs(v) + 1)
    return o, np.where(empty, 0.0, bound)
