"""o and its error bound, row by row."""

from __future__ import annotations

import numpy as np

from harness.operators.attention.problem import Problem
from harness.operators.attention.reference.not_finite import finite, hidden, meets
from harness.operators.attention.reference.operands import Operands
from harness.operators.attention.reference.scores import Block, blocks, score_block
from harness.operators.attention.reference.weights import weigh
from harness.operators.reference.part import Part
from harness.operators.reference.roundoff import EXP_ULPS, Roundoff


def forward_rows(problem: Problem, operands: Operands, rows: np.ndarray) -> Part:
    """o for the given query rows of every head, `(batch, q_heads, len(rows), v_head_dim)`."""
    o = Part.zeros((problem.batch, problem.q_heads, len(rows), problem.v_head_dim))
    if problem.kv_len == 0:
        return o
    for block in blocks(problem, rows):
        o[block.b, block.h, block.part] = _block(problem, operands, block)
    return o


def _block(problem: Problem, operands: Operands, block: Block) -> Part:
    """The output, and the bound

    (1 + r) δ  +  r (Σ_j p_j |v_j| + |o|)  +  u_s |o|   with  r = 7 u_a + u_s + 2 γ_N

    where δ is how far o moves within the errors of the scores and of the values; and what underflow of weights, values,
    products and the output may lose.
    """
    unit = Roundoff.of(problem.dtype)
    scores = score_block(problem, operands, block)
    weights = weigh(scores)
    given = operands.v.map(block.keys)
    v = given.map(finite)
    o = weights.p @ v.value
    moved = weights.move(v.value, o)
    if not v.exact:
        mean = weights.p @ v.error
        moved += mean + weights.move(v.error, mean)

    rounding = (3 + EXP_ULPS) * unit.accumulator + unit.storage + 2 * unit.gamma(problem.kv_len)
    bound = (1 + rounding) * moved + rounding * (weights.p @ v.size + np.abs(o)) + unit.storage * np.abs(o)
    count = scores.seen.sum(axis=-1, keepdims=True)
    floor = unit.smallest * (scores.seen @ v.size + 2) + unit.smallest_product * count
    return Part(
        value=o,
        bound=np.where(count > 0, bound, 0.0),
        floor=np.where(count > 0, floor, 0.0),
        undefined=scores.undefined | meets(scores.seen, given.value),
        excused=scores.overflows | hidden(problem, operands, block, scores.seen) | meets(~scores.seen, given.value),
    )
