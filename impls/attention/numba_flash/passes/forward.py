"""The forward pass: threads share tiles of queries, and where those are too few, the keys as well.

With the keys in several parts (Flash-Decoding: Dao, Haziza, Massa, Sizov 2023) each part leaves its state (m, l, o), and a
second pass merges them: with M = max m, l = Σ l exp(m - M) and o = Σ o exp(m - M).
"""

import math
from typing import NamedTuple

import numpy as np

from ..layout.operands import Block, LaneRows, Span, Tile, address_of, head_of, query_of, unpack_call
from ..layout.packed_keys import own_call, pack_chunk
from ..layout.packing import prefetch_rows, round_up, unpack_lanes
from ..layout.transposed_values import reset_transposed_values
from ..runtime.call import LOG_SUM, MAXIMUM, next_task, part
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import as_kind, copy, size_of, store_native, table, view
from ..runtime.parallel import run
from ..scores.band import without_padding
from ..scores.softmax import State
from ..simd.amx import configure_amx, release_amx
from ..simd.microkernel import MAX_VECTORS
from ..simd.vectors import lanes_of
from .query_tile import attend, is_fresh, workspace

PREFETCH_ROWS = 64
"""Rows of the next head that are prefetched before its turn."""


class Memory(NamedTuple):
    """Addresses beside a thread's `Workspace`."""

    states: int
    """Of all threads, for the second pass."""
    arguments: int
    """The call, as all threads have it."""
    packed: int
    """Where a thread packs keys and values, if it does."""


@deferred_codegen
def tile_of(call, head, n):
    """Tile n of a key/value head; heads are counted through all of the batch.

    The last tile of a strip comes first, the longest under a causal mask. The vectors of a strip are dealt out evenly: 8 are
    3 + 3 + 2, and no vector but the last of a strip is partly empty.
    """
    sizes, lanes = call.sizes, lanes_of(call.kind)
    tiles, (b, kv) = sizes.strip_tiles, head_of(sizes, head)
    strip, tile = n // tiles, tiles - 1 - n % tiles
    vectors = round_up(sizes.strip_lanes, lanes) // lanes
    begin, end = vectors * tile // tiles, vectors * (tile + 1) // tiles
    count = min(end * lanes, sizes.strip_lanes) - begin * lanes
    return Tile(b, kv, strip * sizes.strip_lanes + begin * lanes, count, end - begin)


@deferred_codegen
def write_output(call, tile, state, scratch):
    """Divide by the sums of weights and write output and softmax state; the output of a query without keys is zero."""
    m, l, o, saved = state.m, state.l, state.o, call.operands.softmax_state
    for n in range(l.size):
        if saved.address and n < tile.lanes:
            h, i = query_of(call.sizes, tile.kv, tile.lane + n)
            store_native(address_of(saved, tile.b, h, i, MAXIMUM), m[n])
            store_native(address_of(saved, tile.b, h, i, LOG_SUM), as_kind(math.log(l[n]), call.kind))
        l[n] = 1 / l[n] if l[n] != 0 else 0
    unpack_lanes(call, LaneRows(call.operands.o, tile, 0, call.sizes.v_head_dim), o, l, scratch)


@deferred_codegen
def bytes_of_state(call):
    """Bytes of the state of the widest tile."""
    return (2 + call.sizes.dv_rows) * MAX_VECTORS * lanes_of(call.kind) * size_of(call.kind)


@deferred_codegen
def state_at(call, address, vectors):
    """The `State` of a tile of `vectors` vectors, at an address."""
    lanes, dv_rows = lanes_of(call.kind), call.sizes.dv_rows
    width, most = vectors * lanes, MAX_VECTORS * lanes
    x = view(address, (2 + dv_rows) * most, call.kind)
    return State(x[:width], x[most : most + width], x[2 * most : 2 * most + dv_rows * width])


@deferred_codegen
def attend_tiles(call, head, tiles, work, memory, stored):
    """Some tiles of a head, a `Span`, chunk by chunk of its keys: what one tile has read is in the cache for the next one.

    With the keys in parts, each part of a tile counts as one, and its state goes to `memory.states`. `memory` is a `Memory`.
    """
    sizes, size = call.sizes, bytes_of_state(call)
    splits, of_head = sizes.splits, sizes.strips * sizes.strip_tiles * sizes.splits
    kept = np.int64(work.states.ctypes.data) if splits == 1 else memory.states + (head * of_head + tiles.first) * size
    keys = without_padding(call, head // sizes.kv_heads)
    for k0 in range(keys.first, max(keys.last, keys.first + 1), sizes.chunk_keys):
        k1 = min(k0 + sizes.chunk_keys, keys.last)
        reset_transposed_values(work.transposed, k0)
        if sizes.packed:
            pack_chunk(call, memory.arguments, head, Span(k0, k1), memory.packed)
        for n in range(tiles.first, tiles.last):
            tile = tile_of(call, head, n // splits)
            state = state_at(call, kept + (n - tiles.first) * size, tile.vectors)
            if k0 == keys.first:
                state.m[:] = -np.inf
                state.l[:] = 0
            first, last = part(k0, k1, n % splits, splits)
            attend(call, tile, Span(first, last), work, state, stored)
            if k1 == keys.last:
                if is_fresh(state.m):
                    state.o[:] = 0
                if splits == 1:
                    write_output(call, tile, state, work.scratch)


@deferred_codegen
def prefetch_head(call, head):
    """Prefetch what a key/value head's first tile begins with."""
    operands, sizes = call.operands, call.sizes
    (b, kv), group = head_of(sizes, head), sizes.q_heads // sizes.kv_heads
    queries, keys = min(PREFETCH_ROWS, sizes.q_len), min(PREFETCH_ROWS, sizes.kv_len)
    prefetch_rows(call, Block(operands.q, b, kv * group, 0, queries, 0, sizes.head_dim))
    prefetch_rows(call, Block(operands.k, b, kv, 0, keys, 0, sizes.head_dim))
    prefetch_rows(call, Block(operands.v, b, kv, 0, keys, 0, sizes.v_head_dim))


@deferred_codegen
def attend_heads(arguments, thread_number, kind, stored):
    """The work of one thread: take the next task, some tiles of a head, until none is left."""
    call, thread = unpack_call(arguments, thread_number, kind, stored)
    sizes, work = call.sizes, workspace(call.sizes, thread.workspace, kind)
    of_head, task_tiles, chunk_tiles = sizes.strips * sizes.strip_tiles * sizes.splits, sizes.task_tiles, sizes.chunk_tiles
    tasks = round_up(of_head, task_tiles) // task_tiles
    count = sizes.batch * sizes.kv_heads * tasks
    configure_amx(stored)
    memory = Memory(thread.states, arguments, thread.workspace + sizes.workspace_bytes - sizes.packed)
    own = call
    if sizes.packed:
        own, _ = unpack_call(own_call(arguments, memory.packed), thread_number, kind, stored)
    following = next_task(thread, count)
    while following < count:
        task, following = following, next_task(thread, count)
        head, first = task // tasks, task % tasks * task_tiles
        last = min(first + task_tiles, of_head)
        for n in range(first, last, chunk_tiles):
            if tasks == 1 and n + chunk_tiles >= last and following < count:
                prefetch_head(call, following)
            attend_tiles(own, head, Span(n, min(n + chunk_tiles, last)), work, memory, stored)
    release_amx(stored)


@deferred_codegen
def merge_tiles(arguments, thread_number, kind, stored):
    """The work of one thread in the second pass: merge the parts of the next tile into the first of them."""
    call, thread = unpack_call(arguments, thread_number, kind, stored)
    sizes, work = call.sizes, workspace(call.sizes, thread.workspace, kind)
    splits, most, dv_rows = sizes.splits, MAX_VECTORS * lanes_of(kind), sizes.dv_rows
    size = (2 + dv_rows) * most
    top, factor = work.queries[:most], work.s[:most]
    of_head = sizes.strips * sizes.strip_tiles
    count = sizes.batch * sizes.kv_heads * of_head
    while True:
        task = next_task(thread, count)
        if task == count:
            break
        tile = tile_of(call, task // of_head, task % of_head)
        width = tile.vectors * lanes_of(kind)
        parts = table(thread.states + task * splits * size * size_of(kind), splits, size, kind)
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
        write_output(call, tile, state_at(call, np.int64(first.ctypes.data), tile.vectors), work.scratch)


def forward(plan, call, threads):
    """Compute o, and the softmax state if it has an address."""
    passes = [(attend_heads, plan.kinds), (merge_tiles, (plan.kinds[0], None))]
    run(passes if plan.states else passes[:1], call, plan.work, plan.states, threads)
