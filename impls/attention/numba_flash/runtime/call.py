"""The layout of a call: one array of 64-bit words that Python fills and every thread of a kernel reads."""

from ctypes import addressof, c_char
from typing import NamedTuple

import numpy as np

from .deferred_codegen import deferred_codegen
from .llvm import CACHE_LINE
from .memory import fetch_add
from .records import Field, Record

OPERAND = Record(
    "operand",
    Field("address", "address", "the element [0, 0, 0, 0]; 0 if the operand is absent"),
    Field("by_batch", "bytes", "from one batch element to the next"),
    Field("by_head", "bytes", "from one head to the next"),
    Field("by_row", "bytes", "from one query or key to the next"),
    Field("by_column", "bytes", "from one element of a row to the next"),
)
"""An array of four dimensions, with any strides."""


def _operand(name: str, meaning: str) -> Field:
    return Field(name, "operand", meaning, OPERAND)


OPERANDS = (
    _operand("q", "queries (batch, q_heads, q_len, head_dim)"),
    _operand("k", "keys (batch, kv_heads, kv_len, head_dim)"),
    _operand("v", "values (batch, kv_heads, kv_len, v_head_dim)"),
    _operand("k_new", "keys behind those of k, if k has only the first `sizes.old_keys`; read by the decode pass only"),
    _operand("v_new", "their values"),
    _operand("o", "the output (batch, q_heads, q_len, v_head_dim)"),
    _operand("mask", "booleans (batch, q_heads, q_len, kv_len)"),
    _operand("bias", "(batch, q_heads, q_len, kv_len)"),
    _operand("softmax_state", "of each row of scores s: m = max s and ln Σ exp(s - m), (batch, q_heads, q_len, 2)"),
    _operand("do", "the gradient of the output"),
    _operand("dq", "the gradient of the queries"),
    _operand("dk", "the gradient of the keys"),
    _operand("dv", "the gradient of the values"),
)

CALL = Record(
    "call",
    Field("sizes", "address", "the problem's sizes and the plan (`layout.sizes`), the same in every call"),
    Field("workspace", "address", "the first thread's workspace; those of the other threads follow"),
    Field("states", "address", "what tasks leave for later passes, behind the workspaces"),
    Field("pass_number", "passes", "how many passes of this call are done"),
    *OPERANDS,
)
"""What a call consists of. Behind it each thread has a counter of tasks, in a cache line of its own."""

COUNTERS = CALL.bytes // 8 + CACHE_LINE // 8
"""The word where the counters begin, a cache line behind the operands. They are zero when a pass begins."""

call_at = CALL.at

MAXIMUM, LOG_SUM = range(2)
"""Columns of the softmax state: m and ln Σ exp(s - m); both -inf in a row without keys."""


def new_call(threads: int) -> np.ndarray:
    """The words of a call, all zero."""
    return np.zeros(COUNTERS + threads * (CACHE_LINE // 8), np.int64)


def address(x: np.ndarray) -> int:
    """The address of an array's first element. NumPy's own way takes longer, but works for every array."""
    try:
        return addressof(c_char.from_buffer(x))
    except (TypeError, ValueError, BufferError):
        return x.__array_interface__["data"][0]


class Thread(NamedTuple):
    """What one thread needs to know of a pass."""

    number: int
    threads: int
    counters: int
    """The address of the first thread's counter."""
    workspace: int
    """The address of this thread's workspace."""
    states: int
    pass_number: int


@deferred_codegen
def part(begin, end, n, parts):
    """Part n of [begin, end), which is cut into parts of nearly the same length."""
    return begin + (end - begin) * n // parts, begin + (end - begin) * (n + 1) // parts


@deferred_codegen
def next_task(thread, count):
    """The number of a thread's next task, or `count` if none is left.

    Each thread has a share of its own, the same in every call, so that what it read is still in its cache the next time.
    A thread that has finished its share goes on with the other threads' shares.
    """
    for n in range(thread.threads):
        owner = (thread.number + n) % thread.threads
        begin, end = part(0, count, owner, thread.threads)
        task = begin + fetch_add(thread.counters + owner * CACHE_LINE)
        if task < end:
            return task
    return count
