"""A few queries against a long cache: bound by memory, so keys and values are read once, row by row, as they lie.

In a tile (`query_tile`) queries fill the lanes of vectors; a few of them would leave most lanes empty. Here the elements of
a row fill the lanes: a score is a dot product, and the output a sum of rows. The queries are those of a key/value head's
whole group, and the keys are in parts that the threads share (Flash-Decoding: Dao, Haziza, Massa, Sizov 2023).

A state is m (DECODE_QUERIES), l (DECODE_QUERIES), o (DECODE_QUERIES, v_head_dim), as in a tile. It is not kept for a
backward pass, which computes its scores as tiles do: their sums are in another order.
"""

import math
from typing import NamedTuple

import numpy as np

from ..layout.operands import Block, Span, address_of, head_of, query_of, unpack_call
from ..layout.packing import copy_block, round_up
from ..layout.plan import DECODE_QUERIES
from ..runtime.call import next_task, part
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import as_kind, cut, multiply, size_of, table, view
from ..runtime.parallel import run
from ..scores.band import visible, without_padding
from ..scores.masking import apply_bias_and_masks_to_row
from ..scores.softcap import apply_softcap
from ..scores.softmax import softmax_row
from ..simd.dot_products import dots, rows_of_dots
from ..simd.matrices import Form, Rows, Strided, Target
from ..simd.microkernel import gemm_4_rows, gemv
from ..simd.stored import load_row, store_row
from ..simd.vectors import lanes_of


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
    """By which a new maximum rescales the output so far."""
    state: np.ndarray


@deferred_codegen
def workspace(sizes, address, kind):
    """A `Workspace`, cut out of a thread's memory: see `layout.plan.plan_decode`."""
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
    """The number of queries of a key/value head, those of its whole group."""
    return sizes.q_len * (sizes.q_heads // sizes.kv_heads)


@deferred_codegen
def load_queries(call, head, q):
    """A key/value head's queries, row by row, times the scale."""
    d, operand = call.sizes.head_dim, call.operands.q
    for n in range(queries_of(call.sizes)):
        h, i = query_of(call.sizes, head.kv, n)
        address, target = address_of(operand, head.b, h, i, 0), q.ctypes.data + n * d * q.itemsize
        load_row(address, operand.by_column, d, call.sizes.storage, target, call.kind)
    multiply(q, call.scale)


@deferred_codegen
def keys_of(old, new, sizes, keys):
    """The operand that has some keys or their values, all old or all new ones, and its row of the first of them."""
    return (old, keys.first) if keys.first < sizes.old_keys else (new, keys.first - sizes.old_keys)


@deferred_codegen
def score_rows(call, head, keys, work, stored):
    """s[n, j] = q[n] · k[j] for all queries and some keys, with rows of s `sizes.tile_keys` apart."""
    sizes, count = call.sizes, keys.last - keys.first
    operand, k0 = keys_of(call.operands.k, call.operands.k_new, sizes, keys)
    d, tile, size, queries = sizes.head_dim, sizes.tile_keys, size_of(call.kind), queries_of(sizes)
    q, s, together = work.q.ctypes.data, work.s.ctypes.data, rows_of_dots(call.kind)
    whole = count // together * together
    for j in range(0, whole, together):
        rows = Rows(address_of(operand, head.b, head.kv, k0 + j, 0), operand.by_row // size_of(stored))
        for n in range(queries):
            dots(d, rows, q + n * d * size, s + (n * tile + j) * size, Form(call.kind, stored))
    if whole < count:
        copy_block(call, Block(operand, head.b, head.kv, k0 + whole, count - whole, 0, d), work.copied, together, d)
        rows = Rows(np.int64(work.copied.ctypes.data), d)
        for n in range(queries):
            dots(d, rows, q + n * d * size, s + (n * tile + whole) * size, Form(call.kind, call.kind))


@deferred_codegen
def add_rows(call, head, keys, s, o, stored):
    """o[n, c] += Σ_j s[n, j] v[j, c] for all queries and some keys, with rows of s `sizes.tile_keys` apart."""
    count, columns, form = keys.last - keys.first, call.sizes.v_head_dim, Form(call.kind, stored)
    operand, k0 = keys_of(call.operands.v, call.operands.v_new, call.sizes, keys)
    lanes, size, v_size, queries = lanes_of(call.kind), size_of(call.kind), size_of(stored), queries_of(call.sizes)
    v, v_row, s_row = address_of(operand, head.b, head.kv, k0, 0), operand.by_row // v_size, call.sizes.tile_keys
    most, c = 8 if queries == 1 else 4, 0
    while c < columns:
        vectors = most
        while vectors * lanes > columns - c:
            vectors //= 2
        b, out = Rows(v + c * v_size, v_row), o.ctypes.data + c * size
        if queries == 1:
            gemv(vectors, count, Strided(s.ctypes.data, s_row, 1), b, Target(out, columns, True), form)
        else:
            for n in range(0, queries, 4):
                a, rows = (
                    Strided(s.ctypes.data + n * s_row * size, s_row, 1),
                    Target(out + n * columns * size, columns, True),
                )
                gemm_4_rows(vectors, count, a, b, rows, form)
        c += vectors * lanes


@deferred_codegen
def attend_rows(call, head, keys, work, state, stored):
    """Attend to some keys with all queries of a key/value head; the state is overwritten."""
    sizes, s, factor = call.sizes, work.s, work.factor
    tile, dv, queries = sizes.tile_keys, sizes.v_head_dim, queries_of(sizes)
    m, l, o = state[:DECODE_QUERIES], state[DECODE_QUERIES : 2 * DECODE_QUERIES], state[2 * DECODE_QUERIES :]
    m[:] = -np.inf
    l[:] = 0
    o[:] = 0
    s[:] = 0  # The rows without a query stay zero.
    load_queries(call, head, work.q)
    band = visible(sizes, Span(0, queries), keys, work.first[:queries], work.last[:queries])
    plain = call.operands.bias.address == 0 and call.operands.mask.address == 0
    k0 = np.int64(band.first_least)
    while k0 < band.last_most:
        end = sizes.old_keys if k0 < sizes.old_keys else sizes.kv_len
        count = min(tile, band.last_most - k0, end - k0)
        block = Span(k0, k0 + count)
        score_rows(call, head, block, work, stored)
        banded = band.first_most > k0 or band.last_least < k0 + count
        padded = round_up(count, lanes_of(call.kind))
        for n in range(queries):
            row, at = s[n * tile : n * tile + padded], n * s.itemsize
            if call.softcap > 0:
                apply_softcap(row.ctypes.data, padded, call.softcap, 0, call.kind)
            if banded or not plain:
                apply_bias_and_masks_to_row(call, head, n, k0, Span(band.first[n], band.last[n]), row[:count])
            row[count:] = -np.inf
            m_at, l_at, factor_at = m.ctypes.data + at, l.ctypes.data + at, factor.ctypes.data + at
            softmax_row(row.ctypes.data, padded, m_at, l_at, factor_at, call.kind)
            if factor[n] != 1:
                multiply(o[n * dv : (n + 1) * dv], factor[n])
        add_rows(call, head, block, s, o, stored)
        k0 += count


@deferred_codegen
def write_output_rows(call, head, state):
    """Divide by the sums of weights and write the output; that of a query without keys is zero."""
    dv, operand = call.sizes.v_head_dim, call.operands.o
    for n in range(queries_of(call.sizes)):
        h, i = query_of(call.sizes, head.kv, n)
        l, o = state[DECODE_QUERIES + n], state[2 * DECODE_QUERIES + n * dv : 2 * DECODE_QUERIES + (n + 1) * dv]
        for c in range(dv if l != 0 else 0):
            o[c] /= l
        address = address_of(operand, head.b, h, i, 0)
        store_row(o.ctypes.data, dv, call.sizes.storage, address, operand.by_column, call.kind)


@deferred_codegen
def decode_parts(arguments, thread_number, kind, stored):
    """The work of one thread: take the next part of a head's keys until none is left."""
    call, thread = unpack_call(arguments, thread_number, kind, stored)
    sizes, work = call.sizes, workspace(call.sizes, thread.workspace, kind)
    splits, state = sizes.splits, work.state
    count = sizes.batch * sizes.kv_heads * splits
    while True:
        n = next_task(thread, count)
        if n == count:
            break
        head = head_of(sizes, n // splits)
        keys = without_padding(call, head.b)
        first, last = part(keys.first, keys.last, n % splits, splits)
        if splits > 1:
            state = view(thread.states + n * work.state.nbytes, work.state.size, kind)
        attend_rows(call, head, Span(first, last), work, state, stored)
        if splits == 1:
            write_output_rows(call, head, state)


@deferred_codegen
def merge_parts(arguments, thread_number, kind, stored):
    """The work of one thread in the second pass: M = max m, l = Σ l exp(m - M), o = Σ o exp(m - M) over a head's parts."""
    call, thread = unpack_call(arguments, thread_number, kind, stored)
    sizes, splits, dv, queries = call.sizes, call.sizes.splits, call.sizes.v_head_dim, queries_of(call.sizes)
    size, count = DECODE_QUERIES * (2 + dv), sizes.batch * sizes.kv_heads
    while True:
        head = next_task(thread, count)
        if head == count:
            break
        parts = table(thread.states + head * splits * size * size_of(kind), splits, size, kind)
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
        write_output_rows(call, head_of(sizes, head), total)


def decode(plan, call, threads):
    """Compute o."""
    passes = [(decode_parts, plan.kinds), (merge_parts, (plan.kinds[0], None))]
    run(passes if plan.states else passes[:1], call, plan.work, plan.states, threads)
