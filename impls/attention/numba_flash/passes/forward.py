"""The forward pass: tiles of queries shared out among threads, and where those are too few, the keys as well.

With the keys in several parts (Flash-Decoding: Dao, Haziza, Massa, Sizov 2023) each part leaves its state (m, l, o) behind,
and a second pass merges them: with M = max m, l = Σ l exp(m - M) and o = Σ o exp(m - M).
"""

import math

import numpy as np

from ..layout.operands import Tile, address_of, next_task, query_of, unpack_call
from ..layout.packing import prefetch_rows, round_up, unpack_lanes
from ..layout.transposed_values import reset_transposed_values
from ..runtime.call import LOG_SUM, MAXIMUM, part
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import as_kind, copy, size_of, store_native, table, view
from ..runtime.parallel import run
from ..scores.band import without_padding
from ..simd.amx import configure_amx, release_amx
from ..simd.microkernel import MAX_VECTORS
from ..simd.stored import lanes_of
from .query_tile import attend, is_fresh, workspace

AHEAD = 64
"""Rows of the next head that are asked for before it is its turn."""


@deferred_codegen
def tile_of(sizes, head, n, kind):
    """Tile n of a key/value head; heads are counted through all of the batch.

    The last tile of a strip comes first, the longest under a causal mask. The vectors of a strip are dealt out evenly: 8 are
    3 + 3 + 2, and no vector but the last of a strip is partly empty.
    """
    unit, tiles = lanes_of(kind), sizes.strip_tiles
    b, kv, strip, tile = head // sizes.kv_heads, head % sizes.kv_heads, n // tiles, tiles - 1 - n % tiles
    vectors = round_up(sizes.strip_lanes, unit) // unit
    begin, end = vectors * tile // tiles, vectors * (tile + 1) // tiles
    lanes = min(end * unit, sizes.strip_lanes) - begin * unit
    return Tile(b, kv, strip * sizes.strip_lanes + begin * unit, lanes, end - begin)


@deferred_codegen
def write_output(operands, sizes, tile, m, l, o, scratch):
    """Divide by the sums of weights and write output and softmax state; the output of a query without keys is zero."""
    for n in range(l.size):
        if operands.softmax_state.address and n < tile.lanes:
            h, i = query_of(sizes, tile.kv, tile.lane + n)
            store_native(address_of(operands.softmax_state, tile.b, h, i, MAXIMUM), m[n])
            store_native(address_of(operands.softmax_state, tile.b, h, i, LOG_SUM), as_kind(math.log(l[n]), l[0]))
        l[n] = 1 / l[n] if l[n] != 0 else 0
    unpack_lanes(operands, operands.o, sizes, tile, sizes.v_head_dim, o, l, scratch)


@deferred_codegen
def state_at(address, vectors, dv_rows, kind):
    """(m, l, o) of a tile, of so many vectors, at an address."""
    unit = lanes_of(kind)
    width, most = vectors * unit, MAX_VECTORS * unit
    state = view(address, (2 + dv_rows) * most, kind)
    return state[:width], state[most : most + width], state[2 * most : 2 * most + dv_rows * width]


@deferred_codegen
def attend_tiles(operands, sizes, head, first, last, work, states, kind, stored):
    """Tiles [first, last) of a head, chunk by chunk of its keys: what one tile has read is in the cache for the next one.

    With keys in parts, each part of a tile counts as one.
    """
    splits, dv_rows, of_head = sizes.splits, sizes.dv_rows, sizes.strips * sizes.strip_tiles * sizes.splits
    size = (2 + dv_rows) * MAX_VECTORS * lanes_of(kind) * size_of(kind)
    kept = np.int64(work.states.ctypes.data) if splits == 1 else states + (head * of_head + first) * size
    scale, softcap = as_kind(sizes.scale, kind), as_kind(sizes.softcap, kind)
    begin, end = without_padding(operands, sizes, head // sizes.kv_heads)
    for k0 in range(begin, max(end, begin + 1), sizes.chunk_keys):
        k1 = min(k0 + sizes.chunk_keys, end)
        reset_transposed_values(work.transposed_address, k0)
        for n in range(first, last):
            tile = tile_of(sizes, head, n // splits, kind)
            m, l, o = state_at(kept + (n - first) * size, tile.vectors, dv_rows, kind)
            if k0 == begin:
                m[:] = -np.inf
                l[:] = 0
            some, others = part(k0, k1, n % splits, splits)
            attend(operands, sizes, tile, some, others, scale, softcap, work, m, l, o, stored)
            if k1 == end:
                if is_fresh(m):
                    o[:] = 0
                if splits == 1:
                    write_output(operands, sizes, tile, m, l, o, work.scratch)


@deferred_codegen
def prefetch_head(operands, sizes, head, kind):
    """Prefetch what a key/value head's first tile begins with."""
    b, kv = head // sizes.kv_heads, head % sizes.kv_heads
    h, rows = kv * (sizes.q_heads // sizes.kv_heads), min(AHEAD, sizes.kv_len)
    prefetch_rows(operands, operands.q, sizes, b, h, min(AHEAD, sizes.q_len), sizes.head_dim, kind)
    prefetch_rows(operands, operands.k, sizes, b, kv, rows, sizes.head_dim, kind)
    prefetch_rows(operands, operands.v, sizes, b, kv, rows, sizes.v_head_dim, kind)


@deferred_codegen
def attend_heads(arguments, thread, kind, stored):
    """What one thread does: take the next task, some tiles of a head, until there is none."""
    operands, sizes, counters, memory, states = unpack_call(arguments)
    work = workspace(sizes, memory + thread * sizes.workspace_bytes, kind)
    of_head, together, kept = sizes.strips * sizes.strip_tiles * sizes.splits, sizes.task_tiles, sizes.chunk_tiles
    tasks = round_up(of_head, together) // together
    count = sizes.batch * sizes.kv_heads * tasks
    if stored is not None:
        configure_amx()
    following = next_task(counters, sizes, thread, count)
    while following < count:
        task, following = following, next_task(counters, sizes, thread, count)
        head, first = task // tasks, task % tasks * together
        last = min(first + together, of_head)
        for n in range(first, last, kept):
            if tasks == 1 and n + kept >= last and following < count:
                prefetch_head(operands, sizes, following, kind)
            attend_tiles(operands, sizes, head, n, min(n + kept, last), work, states, kind, stored)
    if stored is not None:
        release_amx()


@deferred_codegen
def merge_tiles(arguments, thread, kind, _):
    """What one thread does of the second pass: merge the parts of the next tile into the first of them."""
    operands, sizes, counters, memory, states = unpack_call(arguments)
    work = workspace(sizes, memory + thread * sizes.workspace_bytes, kind)
    splits, most, dv_rows = sizes.splits, MAX_VECTORS * lanes_of(kind), sizes.dv_rows
    size = (2 + dv_rows) * most
    top, factor = work.packed[:most], work.s[:most]
    of_head = sizes.strips * sizes.strip_tiles
    count = sizes.batch * sizes.kv_heads * of_head
    while True:
        task = next_task(counters, sizes, thread, count)
        if task == count:
            break
        tile = tile_of(sizes, task // of_head, task % of_head, kind)
        width = tile.vectors * lanes_of(kind)
        parts = table(states + task * splits * size * top.itemsize, splits, size, kind)
        first = parts[0]
        for n in range(width):
            top[n] = first[n]
            for p in range(1, splits):
                top[n] = max(top[n], parts[p, n])
        for p in range(splits):
            for n in range(width):
                factor[n] = math.exp(parts[p, n] - top[n]) if parts[p, n] > -np.inf else 0
            for r in range(1, 2 + dv_rows):
                at = r * most if r < 2 else 2 * most + (r - 2) * width
                for n in range(width):
                    first[at + n] = (first[at + n] if p else 0) + factor[n] * parts[p, at + n]
        copy(top, first[:width])
        m, l, o = state_at(first.ctypes.data, tile.vectors, dv_rows, kind)
        write_output(operands, sizes, tile, m, l, o, work.scratch)


def forward(plan, call, threads):
    """o, and the softmax state where it has an address."""
    passes = [(attend_heads, plan.kinds), (merge_tiles, (plan.kinds[0], None))]
    run(passes if plan.states else passes[:1], call, plan.work, plan.states, threads)
