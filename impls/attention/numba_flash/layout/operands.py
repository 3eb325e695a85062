"""How a kernel is told of its problem: whole numbers in one array, the same for every layout, dtype and size.

A kernel that took arrays would be compiled anew for every combination of their layouts. It takes addresses and strides, and
is compiled once for each type it computes with.
"""

from typing import NamedTuple

import numpy as np

from ..runtime.call import (
    ADDRESS,
    BY_BATCH,
    BY_COLUMN,
    BY_HEAD,
    BY_ROW,
    COUNTERS,
    NUMBERS_AT,
    OPERANDS,
    SIZES_AT,
    STATES,
    WORKSPACE,
    part,
)
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import fetch_add, table, view
from .sizes import KV_HEADS, Q_HEADS, Q_LEN, SIZES, THREADS

MAXIMUM, LOG_SUM = range(2)
"""Columns of the softmax state: of a row of scores s, m = max s and ln Σ exp(s - m); -inf both where nothing is seen."""


class Tile(NamedTuple):
    """Some queries of a key/value head. Lanes count the queries of the head's group, one query head after the other."""

    b: int
    kv: int
    lane: int
    """The first."""
    lanes: int
    vectors: int
    """So many hold the lanes; those beyond the last lane are zeros."""


@deferred_codegen
def unpack_call(arguments):
    """What a call brings: operands, sizes, numbers, addresses of counters, workspaces and states.

    `numbers` are the scale and the softcap, 0 for none.
    """
    call = view(arguments, COUNTERS, np.int64(0))
    operands = table(arguments + OPERANDS * 8, 11, 5, np.int64(0))
    sizes, numbers = view(call[SIZES_AT], SIZES, np.int64(0)), view(call[NUMBERS_AT], 2, np.float64(0))
    return operands, sizes, numbers, arguments + COUNTERS * 8, call[WORKSPACE], call[STATES]


@deferred_codegen
def next_task(counters, sizes, thread, count):
    """The number of a thread's next task, or `count` when there is none left.

    Each thread has a share of its own, the same in every call, so that what it read is still in its cache the next time.
    One that has finished its share goes on with the others'.
    """
    for n in range(sizes[THREADS]):
        owner = (thread + n) % sizes[THREADS]
        begin, end = part(0, count, owner, sizes[THREADS])
        task = begin + fetch_add(counters + owner * 64)
        if task < end:
            return task
    return count


@deferred_codegen
def address_of(operands, operand, b, h, row, column):
    """The address of an element of an operand."""
    x = operands[operand]
    return x[ADDRESS] + b * x[BY_BATCH] + h * x[BY_HEAD] + row * x[BY_ROW] + column * x[BY_COLUMN]


@deferred_codegen
def query_of(sizes, kv, lane):
    """(head, row) of the query of a lane: lanes count the queries of a key/value head, one query head after the other."""
    head = lane // sizes[Q_LEN]
    return kv * (sizes[Q_HEADS] // sizes[KV_HEADS]) + head, lane - head * sizes[Q_LEN]


@deferred_codegen
def query_after(sizes, h, i):
    """(head, row) of the query of the lane after that of (h, i), without a division."""
    return (h, i + 1) if i + 1 < sizes[Q_LEN] else (h + 1, np.int64(0))
