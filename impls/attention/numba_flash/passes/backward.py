"""The backward pass: weights are computed again from the softmax state (Dao et al. 2022, arXiv 2205.14135, alg. 4).

With p = exp(s - m - ln l), dp = do vᵀ and D = Σ_c do o:  dv = pᵀ do,  ds = scale p (dp - D),  dq = ds k,  dk = dsᵀ q;
a softcap adds the factor 1 - tanh² of its slope to ds.

A task is a key/value head. It goes over the head's keys chunk by chunk, over all tiles of queries for each chunk, and sums
dk and dv of a chunk, which no other task touches, while dq of a tile grows from chunk to chunk. Where heads are fewer than
threads, their tiles of queries are dealt out to several tasks, each with sums of its own, which a second pass for each
chunk adds in a fixed order: results do not depend on which thread was first.

All sums are of the type that is computed with. Where gradients are stored in it, and are whole micro-kernels, dk and dv are
summed in place, and a head is one chunk. An unfinished dq is spilled from chunk to chunk: see `dq_spill.py`.
"""

from typing import NamedTuple

from ..layout.operands import Block, Span, address_of, head_of, unpack_call
from ..layout.packing import round_up
from ..runtime.call import next_task
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import size_of, view
from ..runtime.parallel import run
from ..scores.band import visible, without_padding
from ..simd.amx import configure_amx, release_amx
from ..simd.microkernel import ROWS
from ..simd.stored import store_row
from ..simd.vectors import lanes_of
from .forward import tile_of
from .query_tile_backward import Sums, close_tile, differentiate_block, open_tile, workspace

REDUCED_ROWS = 64
"""Rows of dk and dv that a thread reduces at a time."""


class Chunk(NamedTuple):
    """A chunk of a head's keys, and where a task sums their gradients."""

    number: int
    keys: Span
    """The head's keys without padding, in all chunks."""
    sums: Sums


@deferred_codegen
def chunks_of(sizes):
    """The number of chunks of a head's keys; one if it has none, because dq is written with the last chunk."""
    return max(1, round_up(sizes.kv_len, sizes.chunk_keys) // sizes.chunk_keys)


@deferred_codegen
def keys_of(sizes, chunk):
    """The keys of a chunk, by its number."""
    return Span(chunk * sizes.chunk_keys, min((chunk + 1) * sizes.chunk_keys, sizes.kv_len))


@deferred_codegen
def differentiate(call, tile, chunk, work, spilled, stored):
    """One tile of queries and one chunk of keys: adds up their part of dq, dk and dv. `spilled` is as in `open_tile`."""
    sizes, width = call.sizes, tile.vectors * lanes_of(call.kind)
    lanes = Span(tile.lane, tile.lane + tile.lanes)
    band = visible(sizes, lanes, chunk.keys, work.first[:width], work.last[:width])
    if band.first_least >= band.last_most:  # No key is seen: dq is zero, and written with the first chunk.
        if chunk.number == 0:
            work.dqt[:] = 0
            close_tile(call, tile, work, spilled, True)
        return
    opening, closing = band.first_least // sizes.chunk_keys, (band.last_most - 1) // sizes.chunk_keys
    if chunk.number < opening or closing < chunk.number:
        return
    open_tile(call, tile, work, spilled, chunk.number == opening, chunk.number == closing, stored)
    keys, size = keys_of(sizes, chunk.number), size_of(call.kind)
    first, last = max(band.first_least, keys.first), min(band.last_most, keys.last)
    for k0 in range(first // ROWS * ROWS, last, sizes.tile_keys):  # Sums are of whole micro-kernels.
        at = (k0 - keys.first) * size
        sums = Sums(chunk.sums.dk + at * sizes.d_rows, chunk.sums.dv + at * sizes.dv_rows)
        differentiate_block(call, tile, Span(k0, min(k0 + sizes.tile_keys, last)), band, work, sums, stored)
    close_tile(call, tile, work, spilled, chunk.number == closing)


@deferred_codegen
def bytes_of_sums(call):
    """Bytes of a task's sums of dk and of dv."""
    sizes, size = call.sizes, size_of(call.kind)
    rows = min(sizes.chunk_keys, round_up(sizes.kv_len, ROWS))
    return rows * sizes.d_rows * size, rows * sizes.dv_rows * size


@deferred_codegen
def zero(call, sums):
    """Zero a task's sums."""
    of_dk, of_dv = bytes_of_sums(call)
    view(sums.dk, of_dk // size_of(call.kind), call.kind)[:] = 0
    view(sums.dv, of_dv // size_of(call.kind), call.kind)[:] = 0


@deferred_codegen
def store_sums(call, block, sums, row):
    """Round sums at an address, `row` elements apart, to their stored form: a block of dk or dv."""
    operand, size = block.operand, size_of(call.kind)
    for j in range(block.rows):
        target, source = address_of(operand, block.b, block.h, block.row + j, 0), sums + j * row * size
        store_row(source, block.columns, call.sizes.storage, target, operand.by_column, call.kind)


@deferred_codegen
def differentiate_heads(arguments, thread_number, kind, stored):
    """The work of one thread: take the next head, or the next part of a head's queries for a chunk, until none is left."""
    call, thread = unpack_call(arguments, thread_number, kind, stored)
    operands, sizes, work = call.operands, call.sizes, workspace(call, thread.workspace, stored)
    configure_amx(stored)
    splits, tiles, (of_dk, of_dv) = sizes.splits, sizes.strips * sizes.strip_tiles, bytes_of_sums(call)
    count = sizes.batch * sizes.kv_heads * splits
    spills = thread.states + (count if splits > 1 else sizes.threads) * (of_dk + of_dv)
    first_chunk = 0 if splits == 1 else thread.pass_number // 2
    last_chunk = chunks_of(sizes) if splits == 1 else first_chunk + 1
    while True:
        n = next_task(thread, count)
        if n == count:
            break
        head, owner = n // splits, n if splits > 1 else thread.number
        b, kv = head_of(sizes, head)
        dk = thread.states + owner * (of_dk + of_dv)
        sums = Sums(dk, dk + of_dk)
        if sizes.in_place:
            sums = Sums(address_of(operands.dk, b, kv, 0, 0), address_of(operands.dv, b, kv, 0, 0))
        spilled = spills + (head if splits > 1 else thread.number) * tiles * sizes.spill_bytes
        keys = without_padding(call, b)
        for number in range(first_chunk, last_chunk):
            zero(call, sums)
            for t in range(n % splits, tiles, splits):
                tile, chunk = tile_of(call, head, t), Chunk(number, keys, sums)
                differentiate(call, tile, chunk, work, spilled + t * sizes.spill_bytes, stored)
            if not sizes.in_place and splits == 1:
                first, last = keys_of(sizes, number)
                store_sums(call, Block(operands.dk, b, kv, first, last - first, 0, sizes.head_dim), sums.dk, sizes.d_rows)
                store_sums(call, Block(operands.dv, b, kv, first, last - first, 0, sizes.v_head_dim), sums.dv, sizes.dv_rows)
    release_amx(stored)


@deferred_codegen
def reduce_rows(call, block, sums, row, apart):
    """Add the sums of all parts, `apart` bytes from one to the next, to those of the first, and store them."""
    total = view(sums, block.rows * row, call.kind)
    for p in range(1, call.sizes.splits):
        more = view(sums + p * apart, total.size, call.kind)
        for n in range(total.size):
            total[n] += more[n]
    store_sums(call, block, sums, row)


@deferred_codegen
def reduce_heads(arguments, thread_number, kind, stored):
    """The work of one thread in a chunk's second pass: reduce the next block of rows."""
    call, thread = unpack_call(arguments, thread_number, kind, stored)
    operands, sizes, (of_dk, of_dv) = call.operands, call.sizes, bytes_of_sums(call)
    keys, size = keys_of(sizes, thread.pass_number // 2), size_of(kind)
    blocks = round_up(keys.last - keys.first, REDUCED_ROWS) // REDUCED_ROWS
    count = sizes.batch * sizes.kv_heads * blocks
    while True:
        n = next_task(thread, count)
        if n == count:
            break
        head, first = n // blocks, n % blocks * REDUCED_ROWS
        row, rows = keys.first + first, min(REDUCED_ROWS, keys.last - keys.first - first)
        (b, kv), sums = head_of(sizes, head), thread.states + head * sizes.splits * (of_dk + of_dv)
        dk, dv = sums + first * sizes.d_rows * size, sums + of_dk + first * sizes.dv_rows * size
        reduce_rows(call, Block(operands.dk, b, kv, row, rows, 0, sizes.head_dim), dk, sizes.d_rows, of_dk + of_dv)
        reduce_rows(call, Block(operands.dv, b, kv, row, rows, 0, sizes.v_head_dim), dv, sizes.dv_rows, of_dk + of_dv)


def backward(plan, call, threads):
    """Compute dq, dk and dv."""
    passes = [(differentiate_heads, plan.kinds)]
    if plan.sizes["splits"] > 1:
        chunks = max(1, -(-int(plan.sizes["kv_len"]) // int(plan.sizes["chunk_keys"])))
        passes = [*passes, (reduce_heads, (plan.kinds[0], None))] * chunks
    run(passes, call, plan.work, plan.states, threads)
