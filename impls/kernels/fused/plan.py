"""How the work is cut up: tiles and their sizes, for the processor's caches, and who takes which."""

from dataclasses import dataclass

import numpy as np

from harness.problem import Problem
from impls.kernels.fused.memory import FLOAT32, STORAGE
from impls.kernels.fused.microkernel import MOST_VECTORS, ROWS
from impls.kernels.fused.operands import SIZES
from impls.kernels.fused.simd import simd

LINE = 64
"""Bytes of a cache line, and of the longest vector."""

LEAST_SPLIT = 256
"""Keys below which a part of them is not worth a thread's while."""


@dataclass(frozen=True)
class Plan:
    """The plan of one problem for so many threads."""

    kind: str
    """The dtype that is computed with."""
    sizes: np.ndarray
    """What kernels read: see `impls.kernels.fused.operands`."""
    work: int
    """Bytes of a thread's workspace."""
    states: int
    """Bytes of the states of tiles whose keys are in several parts."""


def plan(problem: Problem, threads: int, tile_keys: int | None = None, splits: int | None = None) -> Plan:
    kind = "float64" if problem.dtype == "float64" else "float32"
    unit = simd(kind).lanes
    width = MOST_VECTORS * unit
    lanes = problem.q_len * problem.group
    # Tiles may hold queries of several heads of a group; with a band that wastes what one sees and another does not.
    strip = problem.q_len if problem.banded and problem.q_len >= width else lanes
    strips = lanes // strip if strip else 0
    tiles = -(-strip // width)
    count = problem.batch * problem.kv_heads * strips * tiles
    if splits is None:
        splits = max(1, min(-(-4 * threads // max(count, 1)), problem.kv_len // LEAST_SPLIT)) if count < 2 * threads else 1
    tile = tile_keys or 64
    d_rows, dv_rows = (-(-d // max(unit, ROWS)) * max(unit, ROWS) for d in (problem.head_dim, problem.v_head_dim))
    state = (2 + dv_rows) * width
    native = STORAGE[problem.dtype] <= FLOAT32
    copied = (ROWS if native else tile) * problem.head_dim + tile * (ROWS if native else dv_rows)
    work = (d_rows + tile + 2) * width + copied + 2 * LINE + unit * max(d_rows, dv_rows) + state
    bytes_of = simd(kind).size
    work = -(-work * bytes_of // LINE) * LINE
    low, high = problem.band
    sizes = np.array(
        [
            *(problem.batch, problem.q_heads, problem.kv_heads, problem.q_len, problem.kv_len),
            *(problem.head_dim, problem.v_head_dim, low, high, STORAGE[problem.dtype]),
            *(tile, strip, strips, tiles, splits, d_rows, dv_rows, work),
        ],
        np.int64,
    )
    assert sizes.size == SIZES
    return Plan(kind, sizes, work, count * splits * state * bytes_of if splits > 1 else 0)
