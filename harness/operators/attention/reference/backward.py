"""dq, dk, dv and their error bounds (Dao et al. 2022, appendix B.2, differentiated once more for the rounding errors)."""

from __future__ import annotations

import numpy as np

from harness.operators.attention.problem import Problem
from harness.operators.attention.reference.not_finite import finite, hidden, spread
from harness.operators.attention.reference.operands import Operands
from harness.operators.attention.reference.score_gradient import Given, score_gradient
from harness.operators.attention.reference.scores import blocks, score_block
from harness.operators.attention.reference.weights import weigh
from harness.operators.reference.approximate import Approximate
from harness.operators.reference.part import Part
from harness.operators.reference.roundoff import Roundoff


def backward_rows(problem: Problem, operands: Operands, rows: np.ndarray, keys: np.ndarray) -> dict[str, Part]:
    """{"dq", "dk", "dv"}: dq for the query rows `rows`, dk and dv for the keys `keys`.

    Every query is visited, since each contributes to every key it sees; memory stays bounded. Shapes as the gradients',
    with only the chosen rows or keys.
    """
    assert operands.do is not None
    unit = Roundoff.of(problem.dtype)
    b_kv, scale = (problem.batch, problem.kv_heads, len(keys)), problem.scale
    over_queries = problem.q_len * problem.group
    dq = _Sum(unit, (problem.batch, problem.q_heads, len(rows), problem.head_dim), problem.kv_len, scale)
    dk = _Sum(unit, (*b_kv, problem.head_dim), over_queries, scale)
    dv = _Sum(unit, (*b_kv, problem.v_head_dim), over_queries, 1.0)
    position = np.full(problem.q_len, -1)
    position[rows] = np.arange(len(rows))

    for block in blocks(problem, np.arange(problem.q_len)) if problem.kv_len else ():
        q, do = operands.q.map(block.queries), operands.do.map(block.queries)
        k, v = operands.k.map(block.keys), operands.v.map(block.keys)
        given = Given(*(x.map(finite) for x in (q, k, v, do)))
        scores = score_block(problem, operands, block)
        gradient = score_gradient(problem, scores, weigh(scores), given)
        broken = spread(scores, q.value, v.value, do.value, hidden(problem, operands, block, scores.seen))
        chosen = position[block.rows] >= 0
        of_queries = block.b[:, None], block.h[:, None], position[block.rows][chosen]
        dq.add(of_queries, gradient.ds[:, chosen], given.k, most=gradient.most[:, chosen])
        dq.mark(of_queries, broken.dq[:, chosen], broken.dq_excused[:, chosen])
        # The heads of a block are one, or whole groups.
        shared = 1 if len(block.b) == 1 else problem.group
        of_keys = block.b[::shared], block.kv[::shared]
        dk.add(of_keys, gradient.ds[:, :, keys].transposed(), given.q, shared)
        dk.mark(of_keys, broken.dk[:, keys], broken.keys_excused, shared)
        dv.add(of_keys, gradient.p[:, :, keys].transposed(), given.do, shared)
        dv.mark(of_keys, broken.dv[:, keys], broken.keys_excused, shared)
    sharing = problem.group if problem.group > 1 else 0
    return {"dq": dq.finish(0), "dk": dk.finish(sharing), "dv": dv.finish(sharing)}


class _Sum:
    """A gradient scale Σ left @ right being added up over blocks, `terms` in all, with the bound on its error."""

    def __init__(self, unit: Roundoff, shape: tuple[int, ...], terms: int, scale: float):
        self._unit = unit
        self._gamma = unit.gamma(terms)
        self._scale = scale
        self._part = Part.zeros(shape)
        self._size = np.zeros(shape)
        self._seen = np.zeros((*shape[:3], 1), bool)

    def add(
        self, at: tuple, left: Approximate, right: Approximate, shared: int = 1, most: np.ndarray | float = np.inf
    ) -> None:
        """Add a block's share, every `shared` heads of it to one.

        The sum of a head is known not to exceed `most` in any computation.
        """
        abs_right, abs_scale = right.size, abs(self._scale)
        value = self._scale * (left.value @ right.value)
        size = abs_scale * (np.abs(left.value) @ abs_right)
        error = (1 + self._gamma) * abs_scale * (left.error @ abs_right) + self._gamma * size
        if not right.exact:
            error += (1 + self._gamma) * abs_scale * (np.abs(left.value) @ right.error)
        lost = self._unit.smallest * np.abs(left.value).sum(axis=-1, keepdims=True)
        seen = left.floor > 0
        lost = lost + self._unit.smallest_product * seen.sum(axis=-1, keepdims=True)
        self._part.value[at] += _over_shared(value, shared)
        self._part.bound[at] += _over_shared(np.minimum(error, np.abs(value) + most), shared)
        self._part.floor[at] += _over_shared(abs_scale * (left.floor @ abs_right + lost), shared)
        self._size[at] += _over_shared(size, shared)
        self._seen[at] |= _over_shared(np.any(seen, axis=-1, keepdims=True), shared) > 0

    def mark(self, at: tuple, undefined: np.ndarray, excused: np.ndarray, shared: int = 1) -> None:
        """Note where the formula gives no number, and where a computation need not give one."""
        self._part.undefined[at] |= _over_shared(undefined, shared) > 0
        self._part.excused[at] |= _over_shared(excused, shared) > 0

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


def _over_shared(x: np.ndarray, shared: int) -> np.ndarray:
    """Summed over every `shared` heads, the first axis."""
    return x if shared == 1 else x.reshape(len(x) // shared, shared, *x.shape[1:]).sum(axis=1)
