"""The layout of a call."""

import numpy as np

from .deferred_codegen import deferred_codegen
from .memory import view

Q, K, V, O, MASK, BIAS, SOFTMAX_STATE, DO, DQ, DK, DV = range(11)
"""Rows of the array of operands: an address (0 for none), then strides in bytes along batch, head, row and column."""


ADDRESS, BY_BATCH, BY_HEAD, BY_ROW, BY_COLUMN = range(5)


SIZES_AT, NUMBERS_AT, WORKSPACE, STATES, PASS, OPERANDS = range(6)
"""Places in the array of a call: addresses of sizes and numbers, which stay the same from call to call; the addresses of the
threads' workspaces and of the states behind them; the number of the pass; and the array of operands."""


COUNTERS = OPERANDS + 11 * 5 + 8
"""Then a counter of tasks for each thread, in cache lines of their own, since all threads write. Passes start with zeros."""


def call_size(threads):
    """Numbers in the array of a call."""
    return COUNTERS + threads * 8


@deferred_codegen
def pass_of(arguments):
    """Which pass of a call it is, from 0 on."""
    return view(arguments, COUNTERS, np.int64(0))[PASS]


@deferred_codegen
def part(begin, end, n, parts):
    """Part n of [begin, end), cut into so many of nearly the same length."""
    return begin + (end - begin) * n // parts, begin + (end - begin) * (n + 1) // parts
