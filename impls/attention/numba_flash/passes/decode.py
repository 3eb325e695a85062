"""A few queries against a long cache: bound by memory, so keys and values are read once, row by row, as they lie.

In a tile (`query_tile`) queries fill the lanes of vectors; a few of them would leave most lanes empty. Here
the elements of a row fill them: a score is a dot product, and the output a sum of rows. The queries are those of a key/value
head's whole group, and the keys are in parts for the threads to share (Flash-Decoding: Dao, Haziza, Massa, Sizov 2023).

A state is m, l (DECODE_QUERIES) and o (DECODE_QUERIES, v_head_dim), as in a tile. It is not kept for a backward pass, which
computes its scores as tiles do: their sums are in another order.
"""

import math
from typing import NamedTuple

import numpy as np

from ..layout.operands import address_of, next_task, query_of, unpack_call
from ..layout.packing import copy_block, round_up
from ..layout.plan import DECODE_QUERIES
from ..runtime.call import part
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import as_kind, cut, multiply, size_of, table, view
from ..runtime.parallel import run
from ..scores.band import visible, without_padding
from ..scores.masking import apply_bias_and_masks_to_row
from ..scores.softcap import apply_softcap
from ..scores.softmax import softmax_row
from ..simd.microkernel import dots, gemm_4_rows, gemv, rows_of_dots
from ..simd.stored import lanes_of, load_row, store_row


class Workspace(NamedTuple):
    """What a thread needs for `attend_rows`."""

    q: np.ndarray
    s: np.ndarray
    """Scores, and then weights: a row for each query."""
    copied: np.ndarray
    """The last keys, where they are fewer than `dots` takes."""
    first: np.ndarray
    last: np.ndarray
    factor: np.ndarray
    """By which a new maximum changes what is there."""
    state: np.ndarray


@deferred_codegen
def workspace(sizes, address, kind):
    """A `Workspace`, cut out of a thread's memory."""
    q, address = cut(address, DECODE_QUERIES * sizes.head_dim, kind)
    s, address = cut(address, DECODE_QUERIES * sizes.tile_keys, kind)
    copied, address = cut(address, rows_of_dots(kind) * sizes.head_dim, kind)
    first, address = cut(address, DECODE_QUERIES, np.int32(0))
    last, address = cut(address, DECODE_QUERIES, np.int32(0))
    factor, address = cut(address, DECODE_QUERIES, kind)
    state, address = cut(address, DECODE_QUERIES * (2 + sizes.v_head_dim), kind)
    return Workspace(q, s, copied, first, last, factor, state)


@deferred_codegen
def queries_of(sizes):
    """How many queries a key/value head has, those of its whole group."""
    return sizes.q_len * (sizes.q_heads // sizes.kv_heads)


@deferred_codegen
def load_queries(operands, sizes, b, kv, scale, q):
    """A key/value head's queries, row by row, times the scale."""
    d = sizes.head_dim
    for n in range(queries_of(sizes)):
        h, i = query_of(sizes, kv, n)
        address = address_of(operands.q, b, h, i, 0)
        load_row(address, operands.q.by_column, d, sizes.storage, q.ctypes.data + n * d * q.itemsize, q[0])
    multiply(q, scale)


@deferred_codegen
def score_rows(operands, sizes, b, kv, k0, keys, q, s, copied, stored):
    """s[n, j] = q[n] · k[k0 + j] for all queries, with rows of s `sizes.tile_keys` apart."""
    kind, d, tile, size = s[0], sizes.head_dim, sizes.tile_keys, s.itemsize
    together, row, queries = rows_of_dots(kind), operands.k.by_row // size_of(stored), queries_of(sizes)
    whole = keys // together * together
    for j in range(0, whole, together):
        address = address_of(operands.k, b, kv, k0 + j, 0)
        for n in range(queries):
            dots(d, address, row, q.ctypes.data + n * d * size, s.ctypes.data + (n * tile + j) * size, kind, stored)
    if whole < keys:
        copy_block(operands, operands.k, sizes, b, kv, k0 + whole, keys - whole, 0, d, copied, together, d)
        for n in range(queries):
            out = s.ctypes.data + (n * tile + whole) * size
            dots(d, copied.ctypes.data, d, q.ctypes.data + n * d * size, out, kind, kind)


@deferred_codegen
def add_rows(queries, count, s, s_row, v, v_row, columns, o, kind, stored):
    """o[n, c] += Σ_j s[n, j] v[j, c] for j < count. s, v, o are addresses; `columns` is a multiple of a vector's lanes."""
    unit, size, v_size = lanes_of(kind), size_of(kind), size_of(stored)
    most, c = 8 if queries == 1 else 4, 0
    while c < columns:
        vectors = most
        while vectors * unit > columns - c:
            vectors //= 2
        b, out = v + c * v_size, o + c * size
        if queries == 1:
            gemv(vectors, count, s, s_row, 1, b, v_row, out, columns, True, kind, stored)
        else:
            for n in range(0, queries, 4):
                a, rows = s + n * s_row * size, out + n * columns * size
                gemm_4_rows(vectors, count, a, s_row, 1, b, v_row, rows, columns, True, kind, stored)
        c += vectors * unit


@deferred_codegen
def attend_rows(operands, sizes, b, kv, begin, end, scale, softcap, work, state, stored):
    """Fold the keys [begin, end) into the state of all queries of a key/value head; the state is overwritten."""
    s, factor, kind = work.s, work.factor, state[0]
    tile, dv, queries = sizes.tile_keys, sizes.v_head_dim, queries_of(sizes)
    m, l, o = state[:DECODE_QUERIES], state[DECODE_QUERIES : 2 * DECODE_QUERIES], state[2 * DECODE_QUERIES :]
    m[:] = -np.inf
    l[:] = 0
    o[:] = 0
    s[:] = 0  # Those of queries that are not there stay zero.
    load_queries(operands, sizes, b, kv, scale, work.q)
    band = visible(sizes, 0, queries, begin, end, work.first[:queries], work.last[:queries])
    plain = operands.bias.address == 0 and operands.mask.address == 0
    v_row = operands.v.by_row // size_of(stored)
    for k0 in range(band.first_least, band.last_most, tile):
        keys = min(tile, band.last_most - k0)
        score_rows(operands, sizes, b, kv, k0, keys, work.q, s, work.copied, stored)
        banded = band.first_most > k0 or band.last_least < k0 + keys
        padded = round_up(keys, lanes_of(kind))
        for n in range(queries):
            row = s[n * tile : n * tile + padded]
            if softcap > 0:
                apply_softcap(row.ctypes.data, padded, softcap, 0, kind)
            if banded or not plain:
                apply_bias_and_masks_to_row(operands, sizes, b, kv, n, k0, band.first[n], band.last[n], row[:keys])
            row[keys:] = -np.inf
            at = n * s.itemsize
            softmax_row(row.ctypes.data, padded, m.ctypes.data + at, l.ctypes.data + at, factor.ctypes.data + at, kind)
            if factor[n] != 1:
                multiply(o[n * dv : (n + 1) * dv], factor[n])
        v = address_of(operands.v, b, kv, k0, 0)
        add_rows(queries, keys, s.ctypes.data, tile, v, v_row, dv, o.ctypes.data, kind, stored)


@deferred_codegen
def write_output_rows(operands, sizes, b, kv, state, kind):
    """Divide by the sums of weights and write the output; that of a query without keys is zero."""
    dv = sizes.v_head_dim
    for n in range(queries_of(sizes)):
        h, i = query_of(sizes, kv, n)
        l, o = state[DECODE_QUERIES + n], state[2 * DECODE_QUERIES + n * dv : 2 * DECODE_QUERIES + (n + 1) * dv]
        for c in range(dv if l != 0 else 0):
            o[c] /= l
        store_row(o.ctypes.data, dv, sizes.storage, address_of(operands.o, b, h, i, 0), operands.o.by_column, kind)


@deferred_codegen
def decode_parts(arguments, thread, kind, stored):
    """What one thread does: take the next part of a head's keys until there is none."""
    operands, sizes, counters, memory, states = unpack_call(arguments)
    scale, softcap = as_kind(sizes.scale, kind), as_kind(sizes.softcap, kind)
    work = workspace(sizes, memory + thread * sizes.workspace_bytes, kind)
    splits, state = sizes.splits, work.state
    count = sizes.batch * sizes.kv_heads * splits
    while True:
        n = next_task(counters, sizes, thread, count)
        if n == count:
            break
        head, split = n // splits, n % splits
        b, kv = head // sizes.kv_heads, head % sizes.kv_heads
        begin, end = without_padding(operands, sizes, b)
        begin, end = part(begin, end, split, splits)
        if splits > 1:
            state = view(states + n * work.state.nbytes, work.state.size, kind)
        attend_rows(operands, sizes, b, kv, begin, end, scale, softcap, work, state, stored)
        if splits == 1:
            write_output_rows(operands, sizes, b, kv, state, kind)


@deferred_codegen
def merge_parts(arguments, thread, kind, _):
    """What one thread does of the second pass: M = max m, l = Σ l exp(m - M), o = Σ o exp(m - M) over a head's parts."""
    operands, sizes, counters, _, states = unpack_call(arguments)
    splits, dv = sizes.splits, sizes.v_head_dim
    queries, size = queries_of(sizes), DECODE_QUERIES * (2 + sizes.v_head_dim)
    count = sizes.batch * sizes.kv_heads
    while True:
        head = next_task(counters, sizes, thread, count)
        if head == count:
            break
        parts = table(states + head * splits * size * size_of(kind), splits, size, kind)
        total = parts[0]
        for n in range(queries):
            top = total[n]
            for p in range(1, splits):
                top = max(top, parts[p, n])
            for p in range(splits):
                factor = as_kind(math.exp(parts[p, n] - top) if parts[p, n] > -np.inf else 0, kind)
                for c in range(1 + dv):
                    at = DECODE_QUERIES + n if c == 0 else 2 * DECODE_QUERIES + n * dv + c - 1
                    total[at] = (total[at] if p else 0) + factor * parts[p, at]
            total[n] = top
        write_output_rows(operands, sizes, head // sizes.kv_heads, head % sizes.kv_heads, total, kind)


def decode(plan, call, threads):
    """o."""
    passes = [(decode_parts, plan.kinds), (merge_parts, (plan.kinds[0], None))]
    run(passes if plan.states else passes[:1], call, plan.work, plan.states, threads)
