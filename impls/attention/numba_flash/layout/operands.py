"""What a kernel is told: its operands, the queries of a tile, and the tasks of a thread."""

from typing import NamedTuple

import numpy as np

from ..runtime.call import COUNTERS, call_at, part
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import fetch_add
from .sizes import sizes_at


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
    """What a call brings: operands, sizes, and the addresses of counters, workspaces and states."""
    call = call_at(arguments)
    return call, sizes_at(call.sizes), arguments + COUNTERS * 8, call.workspace, call.states


@deferred_codegen
def next_task(counters, sizes, thread, count):
    """The number of a thread's next task, or `count` when there is none left.

    Each thread has a share of its own, the same in every call, so that what it read is still in its cache the next time.
    One that has finished its share goes on with the others'.
    """
    for n in range(sizes.threads):
        owner = (thread + n) % sizes.threads
        begin, end = part(0, count, owner, sizes.threads)
        task = begin + fetch_add(counters + owner * 64)
        if task < end:
            return task
    return count


@deferred_codegen
def address_of(operand, b, h, row, column):
    """The address of an element of an operand."""
    return operand.address + b * operand.by_batch + h * operand.by_head + row * operand.by_row + column * operand.by_column


@deferred_codegen
def query_of(sizes, kv, lane):
    """(head, row) of the query of a lane: lanes count the queries of a key/value head, one query head after the other."""
    head = lane // sizes.q_len
    return kv * (sizes.q_heads // sizes.kv_heads) + head, lane - head * sizes.q_len


@deferred_codegen
def query_after(sizes, h, i):
    """(head, row) of the query of the lane after that of (h, i), without a division."""
    return (h, i + 1) if i + 1 < sizes.q_len else (h + 1, np.int64(0))
