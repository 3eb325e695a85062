"""The backward pass: scores are computed again from the log-sum-exp (Dao et al. 2022, arXiv 2205.14135, alg. 4).

With p = exp(s - lse), dp = do vᵀ and D = Σ_c do o:  dv = pᵀ do,  ds = scale p (dp - D),  dq = ds k,  dk = dsᵀ q;
a softcap adds the factor 1 - tanh² of its slope to ds.

A task is a key/value head: it goes over the head's tiles of queries, each against its keys, and adds up dk and dv, which
nobody else touches. Where heads are fewer than threads, their tiles of queries are dealt out to several tasks, each with
sums of its own, which a second pass adds in a fixed order: results do not depend on which thread was first.
"""

import numpy as np

from impls.kernels.fused.exponential import weights
from impls.kernels.fused.forward import tile_in_head
from impls.kernels.fused.masking import adjust, seen_through_mask, visible, without_padding
from impls.kernels.fused.memory import (
    as_kind,
    cut,
    lanes_of,
    load_native,
    size_of,
    view,
)
from impls.kernels.fused.microkernel import MOST_VECTORS, ROWS
from impls.kernels.fused.operands import (
    ADDRESS,
    BATCH,
    BIAS,
    BY_COLUMN,
    D_ROWS,
    DIRECT,
    DK,
    DO,
    DQ,
    DV,
    DV_ROWS,
    FIRST,
    HEAD_DIM,
    KV_HEADS,
    KV_LEN,
    LSE,
    SPLITS,
    STORAGE,
    STRIPS,
    TILE_KEYS,
    TILES,
    V_HEAD_DIM,
    WORK,
    K,
    O,
    Q,
    V,
    address_of,
    next_task,
    query_of,
    received,
)
from impls.kernels.fused.packing import pack_lanes, round_up, unpack_lanes
from impls.kernels.fused.pairs import is_half, pair_rows, parts_of
from impls.kernels.fused.products import add_keys_by_columns, columns_by_lanes, keys_by_lanes
from impls.kernels.fused.rows import WRITE, load_row, store_row
from impls.kernels.fused.simd import internal
from impls.kernels.fused.softcap import soften
from impls.kernels.fused.team import run
from impls.kernels.fused.tile import scores

BLOCK = 64
"""Rows of dk and dv that a thread adds up at a time."""


@internal
def workspace(sizes, address, kind):
    """What a thread needs for `differentiate`, cut out of its memory."""
    width, tile, d, dv = MOST_VECTORS * lanes_of(kind), sizes[TILE_KEYS], sizes[D_ROWS], sizes[DV_ROWS]
    qt, address = cut(address, d * width, kind)
    q, address = cut(address, width * d, kind)
    dot, address = cut(address, dv * width, kind)
    do, address = cut(address, width * dv, kind)
    dqt, address = cut(address, max(d, dv) * width, kind)
    s, address = cut(address, tile * width, kind)
    ds, address = cut(address, tile * width, kind)
    slope, address = cut(address, tile * width, kind)
    copied, address = cut(address, tile * max(d, dv), kind)
    scratch, address = cut(address, lanes_of(kind) * (1 + max(d, dv)), kind)
    first, address = cut(address, width, np.int32(0))
    last, address = cut(address, width, np.int32(0))
    lse, address = cut(address, width, kind)
    delta, address = cut(address, width, kind)
    return qt, q, dot, do, dqt, s, ds, slope, copied, scratch, first, last, lse, delta


@internal
def load_rows(operands, which, sizes, b, kv, lane, lanes, columns, out, padded):
    """out[n] = the row of lane n, zeros beyond the last lane and column."""
    for n in range(out.size // padded):
        row = out[n * padded : (n + 1) * padded]
        row[:] = 0
        if n < lanes:
            h, i = query_of(sizes, kv, lane + n)
            address = address_of(operands, which, b, h, i, 0)
            load_row(address, operands[which, BY_COLUMN], columns, sizes[STORAGE], row.ctypes.data, out[0])


@internal
def load_log_sums(operands, sizes, b, kv, lane, lanes, lse):
    """Each lane's log-sum-exp; inf, which makes every weight zero, where there is nothing to attend to."""
    for n in range(lse.size):
        lse[n] = np.inf
        if n < lanes:
            h, i = query_of(sizes, kv, lane + n)
            value = load_native(address_of(operands, LSE, b, h, i, 0), lse[0])
            if value != -np.inf:
                lse[n] = value


@internal
def differentiate(operands, sizes, b, kv, lane, lanes, vectors, begin, end, scale, softcap, work, dk, dv, stored):
    """One tile of queries: writes its dq, adds its part of dk and dv to the sums at those addresses."""
    qt, q, dot, do, dqt, s, ds, slope, copied, scratch, first, last, lse, delta = work
    kind = s[0]
    width = vectors * lanes_of(kind)
    tile, d, v_dim, d_rows, dv_rows = sizes[TILE_KEYS], sizes[HEAD_DIM], sizes[V_HEAD_DIM], sizes[D_ROWS], sizes[DV_ROWS]
    one = as_kind(1, kind)
    pack_lanes(operands, O, sizes, b, kv, lane, lanes, FIRST, v_dim, width, one, dqt, WRITE, scratch)
    pack_lanes(operands, DO, sizes, b, kv, lane, lanes, FIRST, v_dim, width, one, dot, WRITE, scratch)
    delta[:width] = 0
    for c in range(v_dim):
        for n in range(width):
            delta[n] += dot[c * width + n] * dqt[c * width + n]
    pair_rows(dot.ctypes.data, round_up(v_dim, 2), width, kind, stored)
    power, rest = parts_of(scale) if is_half(stored) else (scale, one)  # As in the forward pass.
    pack_lanes(operands, Q, sizes, b, kv, lane, lanes, FIRST, d, width, power, qt, WRITE, scratch)
    pair_rows(qt.ctypes.data, round_up(d, 2), width, kind, stored)
    load_rows(operands, Q, sizes, b, kv, lane, lanes, d, q[: width * d_rows], d_rows)
    load_rows(operands, DO, sizes, b, kv, lane, lanes, v_dim, do[: width * dv_rows], dv_rows)
    load_log_sums(operands, sizes, b, kv, lane, lanes, lse[:width])
    first_least, first_most, last_least, last_most = visible(sizes, lane, lanes, width, begin, end, first, last)
    dqt[:] = 0
    size = s.itemsize
    for k0 in range(first_least // ROWS * ROWS, last_most, tile):  # Sums are of whole micro-kernels.
        keys = min(tile, last_most - k0)
        some, every = seen_through_mask(operands, sizes, b, kv, lane, lanes, k0, keys)
        if not some:
            continue
        rows = scores(operands, sizes, b, kv, lane, lanes, vectors, k0, keys, qt, copied, s, not every, stored)
        if rest != 1:
            for n in range(rows * width):
                s[n] *= rest
        if softcap > 0:
            soften(s.ctypes.data, rows * width, softcap, slope.ctypes.data, kind)
        banded = first_most > k0 or last_least < k0 + keys
        if banded or rows > keys or not every or operands[BIAS, ADDRESS]:
            adjust(operands, sizes, b, kv, lane, lanes, width, k0, keys, rows, first, last, banded, not every, s, scratch)
        keys_by_lanes(operands, V, sizes, b, kv, k0, keys, v_dim, vectors, dot, copied, ds, stored)
        weights(vectors, s.ctypes.data, ds.ctypes.data, rows, lse.ctypes.data, delta.ctypes.data, scale, kind)
        if softcap > 0:
            for n in range(rows * width):
                ds[n] *= slope[n]
        add_keys_by_columns(s, rows, width, do, dv_rows, dv + k0 * dv_rows * size, dv_rows, kind)
        add_keys_by_columns(ds, rows, width, q, d_rows, dk + k0 * d_rows * size, d_rows, kind)
        columns_by_lanes(operands, K, sizes, b, kv, k0, keys, d, vectors, ds, copied, dqt, True, kind)
    delta[:] = 1
    unpack_lanes(operands, DQ, sizes, b, kv, lane, lanes, d, width, dqt, delta, scratch)


@internal
def differentiate_heads(arguments, thread, kind, stored):
    """What one thread does: take the next head, or the next part of its queries, until there is none."""
    operands, sizes, numbers, counters, memory, states = received(arguments, 0)
    scale, softcap = as_kind(numbers[0], kind), as_kind(numbers[1], kind)
    work = workspace(sizes, memory + thread * sizes[WORK], kind)
    splits, rows, size = sizes[SPLITS], round_up(sizes[KV_LEN], ROWS), work[0].itemsize
    count = sizes[BATCH] * sizes[KV_HEADS] * splits
    while True:
        n = next_task(counters, sizes, thread, count)
        if n == count:
            break
        head = n // splits
        b, kv = head // sizes[KV_HEADS], head % sizes[KV_HEADS]
        if sizes[DIRECT]:
            dk, dv = address_of(operands, DK, b, kv, 0, 0), address_of(operands, DV, b, kv, 0, 0)
        else:
            dk = states + (n if splits > 1 else thread) * rows * (sizes[D_ROWS] + sizes[DV_ROWS]) * size
            dv = dk + rows * sizes[D_ROWS] * size
        view(dk, rows * sizes[D_ROWS], kind)[:] = 0
        view(dv, rows * sizes[DV_ROWS], kind)[:] = 0
        begin, end = without_padding(operands, sizes, b)
        for tile in range(n % splits, sizes[STRIPS] * sizes[TILES], splits):
            lane, lanes, vectors = tile_in_head(sizes, tile, kind)
            differentiate(operands, sizes, b, kv, lane, lanes, vectors, begin, end, scale, softcap, work, dk, dv, stored)
        if not sizes[DIRECT] and splits == 1:
            store_sums(operands, DK, sizes, b, kv, 0, sizes[KV_LEN], sizes[HEAD_DIM], dk, sizes[D_ROWS], kind)
            store_sums(operands, DV, sizes, b, kv, 0, sizes[KV_LEN], sizes[V_HEAD_DIM], dv, sizes[DV_ROWS], kind)


@internal
def store_sums(operands, which, sizes, b, kv, first, last, columns, sums, row, kind):
    """Rows [first, last) of the sums at an address, `row` elements apart, rounded to their stored form."""
    for j in range(first, last):
        target = address_of(operands, which, b, kv, j, 0)
        source = sums + j * row * size_of(kind)
        store_row(source, columns, sizes[STORAGE], target, operands[which, BY_COLUMN], kind)


@internal
def add_up_heads(arguments, thread, kind):
    """What one thread does of the second pass: add the parts of the next block of rows into the first of them."""
    operands, sizes, _, counters, _, states = received(arguments, 1)
    splits, rows, size = sizes[SPLITS], round_up(sizes[KV_LEN], ROWS), size_of(kind)
    part = rows * (sizes[D_ROWS] + sizes[DV_ROWS])
    blocks = round_up(sizes[KV_LEN], BLOCK) // BLOCK
    count = sizes[BATCH] * sizes[KV_HEADS] * blocks
    while True:
        n = next_task(counters, sizes, thread, count)
        if n == count:
            break
        head, first = n // blocks, n % blocks * BLOCK
        last = min(first + BLOCK, sizes[KV_LEN])
        b, kv, sums = head // sizes[KV_HEADS], head % sizes[KV_HEADS], states + head * splits * part * size
        for which, start, row, columns in (
            (DK, 0, sizes[D_ROWS], sizes[HEAD_DIM]),
            (DV, rows * sizes[D_ROWS], sizes[DV_ROWS], sizes[V_HEAD_DIM]),
        ):
            total = view(sums + (start + first * row) * size, (last - first) * row, kind)
            for p in range(1, splits):
                total += view(sums + (p * part + start + first * row) * size, total.size, kind)
            store_sums(operands, which, sizes, b, kv, first, last, columns, sums + start * size, row, kind)


def backward(plan, call, threads):
    """dq, dk and dv."""
    passes = [(differentiate_heads, plan.kinds), (add_up_heads, plan.kinds[:1])]
    run(passes if plan.sizes[SPLITS] > 1 else passes[:1], call, plan, threads)
