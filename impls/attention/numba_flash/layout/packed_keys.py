"""Keys and values of a chunk in a thread's own memory, row behind row, where their rows lie far apart.

A model projects to (batch, length, heads, dim), and a head is every so-manieth row of that: one or two rows on a page, all
in the same few sets of the first-level cache. A thread copies a chunk once for all of its tiles that go through it. The
copies take the place of k and v in a call of the thread's own, so nothing else knows of them.
"""

import numpy as np

from ..runtime.call import CALL, OPERAND, call_at
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import CACHE_LINE
from ..runtime.memory import copy, view
from ..simd.stored import bytes_of
from .operands import address_of, head_of

_HEAD, _FIRST = range(2)
"""Words at the beginning of the memory: which head's keys, from which on, are there."""

_RECORD = -(-CALL.bytes // CACHE_LINE) * CACHE_LINE
_WORDS = CALL.bytes // 8
_K, _V = CALL.word("k"), CALL.word("v")
_OPERAND = OPERAND.bytes // 8

OVERHANG = 32
"""Rows behind a chunk that may be read with it, though nothing comes of them: a tile of AMX."""


def bytes_packed(keys: int, row: int) -> int:
    """Bytes of memory for a chunk of keys and values with `row` bytes together."""
    return CACHE_LINE + _RECORD + (keys + OVERHANG) * row + CACHE_LINE


@deferred_codegen
def own_call(arguments, memory):
    """The address of a call of the thread's own, in its memory; nothing is packed yet."""
    view(memory, 2, np.int64(0))[:] = -1
    own = memory + CACHE_LINE
    copy(view(arguments, _WORDS, np.int64(0)), view(own, _WORDS, np.int64(0)))
    return own


@deferred_codegen
def pack_chunk(call, arguments, head, keys, memory):
    """Have some keys, a `Span`, of a head in the thread's memory. `arguments` is the address of the call of all threads."""
    known = view(memory, 2, np.int64(0))
    if known[_HEAD] == head and known[_FIRST] == keys.first:
        return
    known[_HEAD], known[_FIRST] = head, keys.first
    shared, own, size = call_at(arguments), memory + CACHE_LINE, bytes_of(call.sizes.storage, call.kind)
    target = own + _RECORD
    target = _packed(shared.k, call.sizes, (head, keys, call.sizes.head_dim * size, size), target, own + _K * 8)
    _packed(shared.v, call.sizes, (head, keys, call.sizes.v_head_dim * size, size), target, own + _V * 8)


@deferred_codegen
def _packed(operand, sizes, wanted, target, entry):
    """Copy rows unless they are one behind the other, or not in one piece; returns where the next copy may lie."""
    head, keys, row, size = wanted
    if operand.by_row == row or operand.by_column != size:
        return target
    b, kv = head_of(sizes, head)
    source = address_of(operand, b, kv, keys.first, 0)
    for n in range(keys.last - keys.first):
        copy(view(source + n * operand.by_row, row // 2, np.int16(0)), view(target + n * row, row // 2, np.int16(0)))
    words = view(entry, _OPERAND, np.int64(0))
    words[0], words[1], words[2], words[3], words[4] = target - keys.first * row, 0, 0, row, size
    end = target + (keys.last - keys.first + OVERHANG) * row
    return (end + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
