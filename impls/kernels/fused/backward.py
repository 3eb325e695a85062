"""The backward pass: scores are computed again from the log-sum-exp (Dao et al. 2022, arXiv 2205.14135, alg. 4).

With p = exp(s - lse), dp = do vᵀ and D = Σ_c do o:  dv = pᵀ do,  ds = scale p (dp - D),  dq = ds k,  dk = dsᵀ q;
a softcap adds the factor 1 - tanh² of its slope to ds.

A task is a key/value head. It goes over the head's keys chunk by chunk, over all tiles of queries for each chunk, and adds
up dk and dv of a chunk, which nobody else touches, while dq of a tile grows from chunk to chunk. Where heads are fewer than
threads, their tiles of queries are dealt out to several tasks, each with sums of its own, which a second pass for each
chunk adds in a fixed order: results do not depend on which thread was first.

All sums are of the type that is computed with. Where gradients are stored in it, and are whole micro-kernels, dk and dv are
added up in place, and a head is one chunk. A dq that is not finished lies in its own memory; of a float32 that is stored in
two bytes, the first two do, and the third is left beside them: see `unfinished.py`.
"""

import numpy as np

from impls.kernels.fused.exponential import weights
from impls.kernels.fused.forward import tile_in_head
from impls.kernels.fused.internal import internal
from impls.kernels.fused.masking import adjust, seen_through_mask, visible, without_padding
from impls.kernels.fused.memory import (
    as_kind,
    copy,
    cut,
    lanes_of,
    load_native,
    multiply,
    size_of,
    view,
)
from impls.kernels.fused.microkernel import MOST_VECTORS, ROWS
from impls.kernels.fused.operands import (
    ADDRESS,
    BATCH,
    BIAS,
    BY_COLUMN,
    CHUNK,
    D_ROWS,
    DIRECT,
    DK,
    DO,
    DQ,
    DV,
    DV_ROWS,
    HEAD_DIM,
    KV_HEADS,
    KV_LEN,
    LEFT,
    LSE,
    SPLITS,
    STORAGE,
    STRIPS,
    THREADS,
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
    pass_of,
    query_after,
    query_of,
    received,
)
from impls.kernels.fused.packing import pack_lanes, round_up, unpack_lanes
from impls.kernels.fused.pair_products import columns_by_lanes_in_pairs, keys_by_lanes_in_pairs
from impls.kernels.fused.pairs import interleave_lanes, pair_rows, parts_of, round_rows
from impls.kernels.fused.products import add_keys_by_columns, columns_by_lanes, keys_by_lanes
from impls.kernels.fused.rows import WRITE, load_row, store_row
from impls.kernels.fused.softcap import soften
from impls.kernels.fused.team import run
from impls.kernels.fused.tile import scores
from impls.kernels.fused.tiles import close_tiles, open_tiles
from impls.kernels.fused.turning import load_columns
from impls.kernels.fused.unfinished import leave, take_up

NOWHERE = 0
"""No place for keys that are turned around: each of them meets a tile of queries once."""

BLOCK = 64
"""Rows of dk and dv that a thread adds up at a time."""


@internal
def workspace(sizes, address, kind, stored):
    """What a thread needs for `differentiate`, cut out of its memory."""
    width, tile, d, dv = MOST_VECTORS * lanes_of(kind), sizes[TILE_KEYS], sizes[D_ROWS], sizes[DV_ROWS]
    qt, address = cut(address, d * width, kind)
    q, address = rows_beside(qt, address, stored)
    dot, address = cut(address, dv * width, kind)
    do, address = rows_beside(dot, address, stored)
    dqt, address = cut(address, max(d, dv) * width, kind)
    s, address = cut(address, tile * width, kind)
    ds, address = cut(address, tile * width, kind)
    copied, scratch = tile * max(d, dv) // (2 if stored is not None else 1), lanes_of(kind) * (1 + max(d, dv))
    spare, address = cut(address, max(copied, scratch), kind)
    first, address = cut(address, width, np.int32(0))
    last, address = cut(address, width, np.int32(0))
    lse, address = cut(address, width, kind)
    delta, address = cut(address, width, kind)
    slope = view(address, tile * width, kind)  # There is none without a softcap.
    return qt, q, dot, do, dqt, s, ds, slope, spare, first, last, lse, delta


@internal
def rows_beside(columns, address, stored):
    """(rows of as many numbers as the columns, what is free behind them).

    Pairs are half as large: where the columns are before these are pairs, rows find room behind them.
    """
    if stored is not None:
        half = columns.size // 2
        return view(columns.ctypes.data + half * columns.itemsize, half, columns[0]), address
    return cut(address, columns.size, columns[0])


@internal
def load_rows(operands, which, sizes, b, kv, lane, lanes, columns, out, padded, stored):
    """out[n] = the row of lane n, zeros beyond the last lane and column; pairs of two unless `stored` is None."""
    if stored is not None:
        width = out.size // padded * 2
        interleave_lanes(operands, which, sizes, b, kv, lane, lanes, columns, width, out.ctypes.data, padded, out[0])
        return
    h, i = query_of(sizes, kv, lane)
    for n in range(lanes):
        address, to = address_of(operands, which, b, h, i, 0), out.ctypes.data + n * padded * out.itemsize
        load_row(address, operands[which, BY_COLUMN], columns, sizes[STORAGE], to, out[0])
        out[n * padded + columns : (n + 1) * padded] = 0
        h, i = query_after(sizes, h, i)
    out[lanes * padded :] = 0


@internal
def load_log_sums(operands, sizes, b, kv, lane, lanes, lse):
    """Each lane's log-sum-exp; inf, which makes every weight zero, where there is nothing to attend to."""
    h, i = query_of(sizes, kv, lane)
    for n in range(lanes):
        value = load_native(address_of(operands, LSE, b, h, i, 0), lse[0])
        lse[n] = value if value != -np.inf else np.inf
        h, i = query_after(sizes, h, i)
    lse[lanes:] = np.inf


@internal
def chunks_of(sizes):
    """How many chunks a head's keys are; one if there are none, since dq is written with the last."""
    return max(1, round_up(sizes[KV_LEN], sizes[CHUNK]) // sizes[CHUNK])


@internal
def chunk_of(sizes, n):
    """[first, last) of the keys of chunk n."""
    return n * sizes[CHUNK], min((n + 1) * sizes[CHUNK], sizes[KV_LEN])


@internal
def load_output_sums(operands, sizes, b, kv, lane, lanes, width, dot, ot, delta, scratch):
    """delta[n] = Σ_c do[n, c] o[n, c]. The former is left in `dot` by lanes; `ot` is scratch for the latter."""
    one, v_dim = as_kind(1, delta[0]), sizes[V_HEAD_DIM]
    pack_lanes(operands, DO, sizes, b, kv, lane, lanes, 0, v_dim, width, one, dot, WRITE, scratch)
    pack_lanes(operands, O, sizes, b, kv, lane, lanes, 0, v_dim, width, one, ot, WRITE, scratch)
    delta[:width] = 0
    for c in range(v_dim):
        for n in range(width):
            delta[n] += dot[c * width + n] * ot[c * width + n]


@internal
def differentiate(operands, sizes, b, kv, tile, chunk, begin, end, scale, softcap, work, left, dk, dv, stored):
    """One tile of queries and one chunk of keys, of which [begin, end) are not padding: adds up their part of dq, dk and dv.

    dk and dv are the addresses of sums for the chunk's keys; at `left` is what the tile leaves from one chunk to the next.
    """
    qt, q, dot, do, dqt, s, ds, slope, spare, first, last, lse, delta = work
    kind, copied, scratch = s[0], spare, spare  # A block is used up before the next thing is copied.
    lane, lanes, vectors = tile_in_head(sizes, tile, kind)
    width = vectors * lanes_of(kind)
    first_least, first_most, last_least, last_most = visible(sizes, lane, lanes, width, begin, end, first, last)
    seen = first_least < last_most
    opening, closing = (first_least // sizes[CHUNK], (last_most - 1) // sizes[CHUNK]) if seen else (0, 0)
    if chunk < opening or closing < chunk:
        return
    start, stop = chunk_of(sizes, chunk)
    first_least, last_most = max(first_least, start), min(last_most, stop)
    step, d, v_dim, d_rows, dv_rows = sizes[TILE_KEYS], sizes[HEAD_DIM], sizes[V_HEAD_DIM], sizes[D_ROWS], sizes[DV_ROWS]
    one, lefts, thirds = as_kind(1, kind), view(left, width, kind), left + width * s.itemsize
    h, i = query_of(sizes, kv, lane)
    unfinished = address_of(operands, DQ, b, h, i, 0)
    if chunk == opening:
        load_output_sums(operands, sizes, b, kv, lane, lanes, width, dot, dqt, delta, scratch)
        if chunk < closing:
            copy(delta, lefts)
    else:
        copy(lefts, delta[:width])
    load_log_sums(operands, sizes, b, kv, lane, lanes, lse[:width])
    dqt[:] = 0
    if chunk > opening:
        take_up(unfinished, sizes, lanes, width, dqt, thirds)
    power, rest = parts_of(scale) if stored is not None else (scale, one)  # As in the forward pass.
    if seen:
        if stored is not None or chunk > opening:
            load_columns(operands, DO, sizes, b, kv, lane, lanes, v_dim, width, one, dot, scratch, stored)
        load_columns(operands, Q, sizes, b, kv, lane, lanes, d, width, power, qt, scratch, stored)
        rows = width // 2 if stored is not None else width
        load_rows(operands, Q, sizes, b, kv, lane, lanes, d, q[: rows * d_rows], d_rows, stored)
        load_rows(operands, DO, sizes, b, kv, lane, lanes, v_dim, do[: rows * dv_rows], dv_rows, stored)
    size = s.itemsize
    for k0 in range(first_least // ROWS * ROWS, last_most, step):  # Sums are of whole micro-kernels.
        keys = min(step, last_most - k0)
        some, every = seen_through_mask(operands, sizes, b, kv, lane, lanes, k0, keys)
        if not some:
            continue
        rows = scores(operands, sizes, b, kv, lane, lanes, vectors, k0, keys, qt, copied, s, not every, stored)
        if rest != 1:
            multiply(s[: rows * width], rest)
        if softcap > 0:
            soften(s.ctypes.data, rows * width, softcap, slope.ctypes.data, kind)
        banded = first_most > k0 or last_least < k0 + keys
        if banded or rows > keys or not every or operands[BIAS, ADDRESS]:
            adjust(operands, sizes, b, kv, lane, lanes, width, k0, keys, rows, first, last, banded, not every, s, scratch)
        if stored is not None:
            keys_by_lanes_in_pairs(operands, V, sizes, b, kv, k0, keys, v_dim, vectors, dot, copied, ds, stored)
        else:
            keys_by_lanes(operands, V, sizes, b, kv, k0, keys, v_dim, vectors, dot, copied, ds)
        weights(vectors, s.ctypes.data, ds.ctypes.data, rows, lse.ctypes.data, delta.ctypes.data, scale, kind)
        if softcap > 0:
            for n in range(rows * width):
                ds[n] *= slope[n]
        p_rows, ds_rows = np.int64(s.ctypes.data), np.int64(ds.ctypes.data)
        if stored is not None:  # Both fit where weights were, and gradients of scores in pairs where they were.
            ds_rows = p_rows + rows * width * 2
            round_rows(p_rows, rows * width, p_rows, kind)
            round_rows(ds.ctypes.data, rows * width, ds_rows, kind)
            pair_rows(ds.ctypes.data, rows, width, kind)
        dv_at, dk_at = dv + (k0 - start) * dv_rows * size, dk + (k0 - start) * d_rows * size
        add_keys_by_columns(p_rows, rows, width, do.ctypes.data, dv_rows, dv_at, dv_rows, kind, stored)
        add_keys_by_columns(ds_rows, rows, width, q.ctypes.data, d_rows, dk_at, d_rows, kind, stored)
        if stored is not None:
            columns_by_lanes_in_pairs(
                operands, K, sizes, b, kv, k0, keys, d, vectors, ds, copied, NOWHERE, dqt, True, stored
            )
        else:
            columns_by_lanes(operands, K, sizes, b, kv, k0, keys, d, vectors, ds, copied, dqt, True)
    delta[:] = 1
    if chunk == closing:
        unpack_lanes(operands, DQ, sizes, b, kv, lane, lanes, d, width, dqt, delta, scratch)
    else:
        leave(unfinished, sizes, lanes, width, dqt, thirds)


@internal
def size_of_sums(sizes, kind):
    """Bytes of a task's sums of dk and of dv."""
    rows = min(sizes[CHUNK], round_up(sizes[KV_LEN], ROWS))
    return rows * sizes[D_ROWS] * size_of(kind), rows * sizes[DV_ROWS] * size_of(kind)


@internal
def differentiate_heads(arguments, thread, kind, stored):
    """What one thread does: take the next head, or the next part of a head's queries for a chunk, until there is none."""
    operands, sizes, numbers, counters, memory, states = received(arguments)
    scale, softcap = as_kind(numbers[0], kind), as_kind(numbers[1], kind)
    work = workspace(sizes, memory + thread * sizes[WORK], kind, stored)
    if stored is not None:
        open_tiles()
    splits, tiles = sizes[SPLITS], sizes[STRIPS] * sizes[TILES]
    bytes_of_dk, bytes_of_dv = size_of_sums(sizes, kind)
    count = sizes[BATCH] * sizes[KV_HEADS] * splits
    sums, lefts = states, states + (count if splits > 1 else sizes[THREADS]) * (bytes_of_dk + bytes_of_dv)
    first_chunk = 0 if splits == 1 else pass_of(arguments) // 2
    last_chunk = chunks_of(sizes) if splits == 1 else first_chunk + 1
    while True:
        n = next_task(counters, sizes, thread, count)
        if n == count:
            break
        head = n // splits
        b, kv = head // sizes[KV_HEADS], head % sizes[KV_HEADS]
        if sizes[DIRECT]:
            dk, dv = address_of(operands, DK, b, kv, 0, 0), address_of(operands, DV, b, kv, 0, 0)
        else:
            dk = sums + (n if splits > 1 else thread) * (bytes_of_dk + bytes_of_dv)
            dv = dk + bytes_of_dk
        left = lefts + (head if splits > 1 else thread) * tiles * sizes[LEFT]
        begin, end = without_padding(operands, sizes, b)
        for chunk in range(first_chunk, last_chunk):
            view(dk, bytes_of_dk // work[0].itemsize, kind)[:] = 0
            view(dv, bytes_of_dv // work[0].itemsize, kind)[:] = 0
            for tile in range(n % splits, tiles, splits):
                at = left + tile * sizes[LEFT]
                differentiate(operands, sizes, b, kv, tile, chunk, begin, end, scale, softcap, work, at, dk, dv, stored)
            if not sizes[DIRECT] and splits == 1:
                start, stop = chunk_of(sizes, chunk)
                store_sums(operands, DK, sizes, b, kv, start, stop, sizes[HEAD_DIM], dk, sizes[D_ROWS], kind)
                store_sums(operands, DV, sizes, b, kv, start, stop, sizes[V_HEAD_DIM], dv, sizes[DV_ROWS], kind)
    if stored is not None:
        close_tiles()


@internal
def store_sums(operands, which, sizes, b, kv, first, last, columns, sums, row, kind):
    """Rows [first, last) of dk or dv, rounded to their stored form, from sums at an address, `row` elements apart."""
    for j in range(first, last):
        target, source = address_of(operands, which, b, kv, j, 0), sums + (j - first) * row * size_of(kind)
        store_row(source, columns, sizes[STORAGE], target, operands[which, BY_COLUMN], kind)


@internal
def add_up_heads(arguments, thread, kind, _):
    """What one thread does of a chunk's second pass: add the parts of the next block of rows into the first of them."""
    operands, sizes, _, counters, _, states = received(arguments)
    splits, (bytes_of_dk, bytes_of_dv) = sizes[SPLITS], size_of_sums(sizes, kind)
    start, stop = chunk_of(sizes, pass_of(arguments) // 2)
    blocks = round_up(stop - start, BLOCK) // BLOCK
    count = sizes[BATCH] * sizes[KV_HEADS] * blocks
    while True:
        n = next_task(counters, sizes, thread, count)
        if n == count:
            break
        head, block = n // blocks, n % blocks * BLOCK
        last = min(block + BLOCK, stop - start)
        b, kv, sums = head // sizes[KV_HEADS], head % sizes[KV_HEADS], states + head * splits * (bytes_of_dk + bytes_of_dv)
        for which, behind, row, columns in (
            (DK, 0, sizes[D_ROWS], sizes[HEAD_DIM]),
            (DV, bytes_of_dk, sizes[DV_ROWS], sizes[V_HEAD_DIM]),
        ):
            at = sums + behind + block * row * size_of(kind)
            total = view(at, (last - block) * row, kind)
            for p in range(1, splits):
                more = view(at + p * (bytes_of_dk + bytes_of_dv), total.size, kind)
                for n in range(total.size):
                    total[n] += more[n]
            store_sums(operands, which, sizes, b, kv, start + block, start + last, columns, at, row, kind)


def backward(plan, call, threads):
    """dq, dk and dv."""
    if plan.sizes[SPLITS] == 1:
        passes = [(differentiate_heads, plan.kinds)]
    else:
        chunks = max(1, -(-plan.sizes[KV_LEN] // plan.sizes[CHUNK]))
        passes = [(differentiate_heads, plan.kinds), (add_up_heads, (plan.kinds[0], None))] * chunks
    run(passes, call, plan, threads)
