"""How a kernel is told of its problem: arrays of whole numbers, the same for every layout, dtype and size.

A kernel that took arrays would be compiled anew for every combination of their layouts. It takes addresses and strides, and
is compiled once for each type it computes with.
"""

import numpy as np

from impls.kernels.fused.memory import view
from impls.kernels.fused.simd import internal

(
    BATCH, Q_HEADS, KV_HEADS, Q_LEN, KV_LEN, HEAD_DIM, V_HEAD_DIM, LOW, HIGH, STORAGE,
    TILE_KEYS, STRIP, STRIPS, TILES, SPLITS, D_ROWS, DV_ROWS, WORK, DIRECT, SIZES,
) = range(20)  # fmt: skip
"""Places in the array of sizes. LOW and HIGH are the band: query i may see key j when LOW <= j - i <= HIGH. The second line
is the plan: see `impls.kernels.fused.plan`."""

Q, K, V, O, MASK, BIAS, LSE, DO, DQ, DK, DV = range(11)
"""Rows of the array of operands: an address (0 for none), then strides in bytes along batch, head, row and column."""

ADDRESS, BY_BATCH, BY_HEAD, BY_ROW, BY_COLUMN = range(5)


@internal
def received(arguments):
    """(operands, sizes, numbers, counter, workspace's address, states' address) from the addresses that a worker is given.

    `numbers` are the scale and the softcap, 0 for none.
    """
    given = view(arguments, 6, np.int64(0))
    operands = view(given[0], 11 * 5, np.int64(0)).reshape(11, 5)
    return operands, view(given[1], SIZES, np.int64(0)), view(given[2], 2, np.float64(0)), given[3], given[4], given[5]


@internal
def address_of(operands, which, b, h, row, column):
    """The address of an element of an operand."""
    x = operands[which]
    return x[ADDRESS] + b * x[BY_BATCH] + h * x[BY_HEAD] + row * x[BY_ROW] + column * x[BY_COLUMN]


@internal
def query_of(sizes, kv, lane):
    """(head, row) of the query of a lane: lanes count the queries of a key/value head, one query head after the other."""
    head = lane // sizes[Q_LEN]
    return kv * (sizes[Q_HEADS] // sizes[KV_HEADS]) + head, lane - head * sizes[Q_LEN]
