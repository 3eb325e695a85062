"""The shape grids of four public attention test suites, as problems of this contract.

Only shapes and features are taken over: the arrays, the oracle and the bound are ours.

| project | files | version |
|---|---|---|
| FlashAttention | `tests/test_flash_attn.py`, `hopper/test_flash_attn.py` | Dao-AILab/flash-attention, commit 0251105 |
| xformers | `tests/test_mem_eff_attention.py`, and the operators it reads | facebookresearch/xformers, commit bed3978 |
| PyTorch | `test/test_transformers.py` | of 2026: commit 0d65693 of the fork MatthewBonanni/pytorch |
| JAX | `tests/nn_test.py`, `tests/pallas/{gpu_ops,gpu_attention,mgpu_attention}_test.py` | jax-ml/jax, commit cec06d1 |

Left out, since no `Problem` states it:

- dropout, paged caches, appended keys, rotary embedding, quantized dtypes, nested tensors, FlashAttention-3's second query
  (qv) and attention chunks, strides, and what only chooses a kernel (splits, determinism, block sizes);
- packed sequences with causality or a window, whose diagonal goes by each sequence's own lengths; without either they are
  stated as padding masks. Padded queries;
- windows without causality that lie beyond the main diagonal, see `stating.band_window`;
- values that a test is about, such as infinities: only the shape is here. FlashAttention's overflow tests multiply q and k,
  which is stated as a scale;
- PyTorch's single problem of 49,999 queries and keys.

Window sizes and shapes that a suite draws at random are drawn anew from the same ranges.

The full products hold 140,000 problems. Unless every one is asked for, a project is a few hundred that hold every value of
every axis and every pair of values of axes that interact (`product.PARTNERS` says which do). Two limits keep the oracle to
seconds. Batch and heads are cut where there are more scores than `stating.MOST_SCORES` or more elements than
`stating.MOST_ELEMENTS`; lengths, head sizes and features never are. A problem with more than `stating.MOST_AT_ALL` even so
is left to `--every`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.problem import Problem
from tests.external.grids import flash_attention, jax, pytorch, xformers
from tests.external.grids.product import Grid, Pair, Point, cover, held
from tests.external.grids.stating import MOST_AT_ALL, cost, stated

PROJECTS: dict[str, tuple[Grid, ...]] = {
    "flash-attention": flash_attention.GRIDS,
    "xformers": xformers.GRIDS,
    "pytorch": pytorch.GRIDS,
    "jax": jax.GRIDS,
}

Problems = dict[Problem, set[Pair]]
"""Each problem, and the values and pairs of values of the points that ask for it: where heads are cut, it may be several."""


def covering(project: str) -> Problems:
    """Affordable problems that hold every value and every pair of interacting values of a project's grids."""
    problems: Problems = {}
    for point in cover(PROJECTS[project], _cost):
        if problem := stated(point):
            problems.setdefault(problem, set()).update(held(point))
    return problems


def every(project: str) -> Iterator[Problem]:
    """Every problem of a project's full products, once each."""
    seen: set[Problem] = set()
    for grid in PROJECTS[project]:
        for point in grid.points():
            problem = stated(point)
            if problem and problem not in seen:
                seen.add(problem)
                yield problem


def _cost(point: Point) -> float:
    """Infinite for what cannot be stated or afforded."""
    problem = stated(point)
    return math.inf if problem is None or problem.score_elements > MOST_AT_ALL else cost(problem)
