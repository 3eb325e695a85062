"""dq, dk, dv and their error bounds (Dao et al. 2022, appendix B.2, differentiated once more for the rounding errors)."""

from __future__ import annotations

import numpy as np

from harness.inputs import Inputs
from harness.problem import Problem
from harness.reference.answer import Part
from harness.reference.not_finite import finite, hidden, spread
from harness.reference.roundoff import Roundoff
from harness.reference.score_gradient import Approximate, Operands, score_gradient
from harness.reference.scores import blocks, score_block
from harness.reference.weights import weigh


def backward_rows(problem: Problem, inputs: Inputs, rows: np.ndarray, keys: np.ndarray) -> dict[str, Part]:
    """{"dq", "dk", "dv"}: dq for the query rows `rows`, dk and dv for the keys `keys`.

    Every query is visited, since each contributes to every key it sees; memory stays bounded. Shapes as the gradients',
    with only the chosen rows or keys.
    """
    assert inputs.do is not None
    unit = Roundoff.of(problem.dtype)
    b_kv = (problem.batch, problem.kv_heads, len(keys))
    dq = _Sum(unit, (problem.batch, problem.q_heads, len(rows), problem.head_dim), problem.kv_len)
    dk, dv = (_Sum(unit, (*b_kv, width), problem.q_len * problem.group) for width in (problem.head_dim, problem.v_head_dim))
    position = np.full(problem.q_len, -1)
    position[rows] = np.arange(len(rows))

    for block in blocks(problem, np.arange(problem.q_len)) if problem.kv_len else ():
        q, do, k, v = block.queries(inputs.q), block.queries(inputs.do), block.keys(inputs.k), block.keys(inputs.v)
        given = Operands(*(finite(x) for x in (q, k, v, do)))
        scores = score_block(problem, inputs, block)
        gradient = score_gradient(problem, scores, weigh(scores), given)
        broken = spread(scores, q, v, do, hidden(problem, inputs, block, scores.seen))
        chosen = position[block.rows] >= 0
        at = position[block.rows][chosen]
        ds, p = gradient.ds[:, :, keys].transposed(), gradient.p[:, :, keys].transposed()
        for n, (b, h, kv) in enumerate(zip(block.b, block.h, block.kv, strict=True)):
            dq.add((b, h, at), problem.scale, gradient.ds[n, chosen], given.k[n], gradient.most[n, chosen])
            dk.add((b, kv), problem.scale, ds[n], given.q[n])
            dv.add((b, kv), 1.0, p[n], given.do[n])
            dq.mark((b, h, at), broken.dq[n, chosen], broken.dq_excused[n, chosen])
            dk.mark((b, kv), broken.dk[n, keys], broken.keys_excused[n])
            dv.mark((b, kv), broken.dv[n, keys], broken.keys_excused[n])
    sharing = problem.group if problem.group > 1 else 0
    return {"dq": dq.finish(0), "dk": dk.finish(sharing), "dv": dv.finish(sharing)}


class _Sum:
    """A gradient being added up over blocks, `terms` in all, with the bound on its error and the size of what was added."""

    def __init__(self, unit: Roundoff, shape: tuple[int, ...], terms: int):
        self._unit = unit
        self._gamma = unit.gamma(terms)
        self._part = Part.zeros(shape)
        self._size = np.zeros(shape)
        self._seen = np.zeros((*shape[:3], 1), bool)

    def add(self, at: tuple, scale: float, left: Approximate, right: np.ndarray, most: np.ndarray | float = np.inf) -> None:
        """Add `scale * left @ right`, which is known not to exceed `most` in any computation."""
        abs_right, abs_scale = np.abs(right), abs(scale)
        value = scale * (left.value @ right)
        size = abs_scale * (np.abs(left.value) @ abs_right)
        error = (1 + self._gamma) * abs_scale * (left.error @ abs_right) + self._gamma * size
        lost = self._unit.smallest * np.abs(left.value).sum(axis=1, keepdims=True)
        seen = left.floor > 0
        lost = lost + self._unit.smallest_product * seen.sum(axis=1, keepdims=True)
        self._part.value[at] += value
        self._part.bound[at] += np.minimum(error, np.abs(value) + most)
        self._part.floor[at] += abs_scale * (left.floor @ abs_right + lost)
        self._size[at] += size
        self._seen[at] |= seen.any(axis=1, keepdims=True)

    def mark(self, at: tuple, undefined: np.ndarray, excused: np.ndarray | bool) -> None:
        """Note where the formula gives no number, and where a computation need not give one."""
        self._part.undefined[at] |= undefined
        self._part.excused[at] |= excused

    def finish(self, sharing: int) -> Part:
        """The sum with its last roundings: scaling, storing, and `sharing` stored parts added up in storage.

        A key that nobody sees has a gradient of exactly zero.
        """
        part, unit = self._part, self._unit
        part.bound += (unit.storage + 2 * unit.accumulator) * np.abs(part.value)
        part.floor += np.where(self._seen, (2 + sharing) * unit.smallest, 0.0)
        if sharing:
            part.bound += unit.gamma(sharing, unit.storage) * self._size
        return part
