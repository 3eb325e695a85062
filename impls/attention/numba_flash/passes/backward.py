"""The backward pass: weights are computed again from the softmax state (Dao et al. 2022, arXiv 2205.14135, alg. 4).

With p = exp(s - m - ln l), dp = do vᵀ and D = Σ_c do o:  dv = pᵀ do,  ds = scale p (dp - D),  dq = ds k,  dk = dsᵀ q;
a softcap adds the factor 1 - tanh² of its slope to ds.

A task is a key/value head. It goes over the head's keys chunk by chunk, over all tiles of queries for each chunk, and adds
up dk and dv of a chunk, which nobody else touches, while dq of a tile grows from chunk to chunk. Where heads are fewer than
threads, their tiles of queries are dealt out to several tasks, each with sums of its own, which a second pass for each
chunk adds in a fixed order: results do not depend on which thread was first.

All sums are of the type that is computed with. Where gradients are stored in it, and are whole micro-kernels, dk and dv are
added up in place, and a head is one chunk. A dq that is not finished lies in its own memory; of a float32 that is stored in
two bytes, the first two do, and the third is left beside them: see `dq_spill.py`.
"""

from ..layout.operands import address_of, next_task, unpack_call
from ..layout.packing import round_up
from ..runtime.call import pass_of
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import as_kind, size_of, view
from ..runtime.parallel import run
from ..scores.band import visible, without_padding
from ..simd.amx import configure_amx, release_amx
from ..simd.bf16 import split_scale
from ..simd.microkernel import ROWS
from ..simd.stored import lanes_of, store_row
from .forward import tile_of
from .query_tile_backward import close_tile, differentiate_block, open_tile, workspace

BLOCK = 64
"""Rows of dk and dv that a thread adds up at a time."""


@deferred_codegen
def chunks_of(sizes):
    """How many chunks a head's keys are; one if there are none, since dq is written with the last."""
    return max(1, round_up(sizes.kv_len, sizes.chunk_keys) // sizes.chunk_keys)


@deferred_codegen
def chunk_of(sizes, n):
    """[first, last) of the keys of chunk n."""
    return n * sizes.chunk_keys, min((n + 1) * sizes.chunk_keys, sizes.kv_len)


@deferred_codegen
def differentiate(operands, sizes, tile, chunk, begin, end, scale, softcap, work, left, dk, dv, stored):
    """One tile of queries and one chunk of keys, of which [begin, end) are not padding: adds up their part of dq, dk and dv.

    dk and dv are the addresses of sums for the chunk's keys; `left` is as in `open_tile`.
    """
    kind, step, width = work.s[0], sizes.tile_keys, tile.vectors * lanes_of(work.s[0])
    band = visible(sizes, tile.lane, tile.lanes, begin, end, work.first[:width], work.last[:width])
    if band.first_least >= band.last_most:  # No key is seen, and the first chunk is the one to say so.
        if chunk == 0:
            work.dqt[:] = 0
            close_tile(operands, sizes, tile, work, left, True)
        return
    opening, closing = band.first_least // sizes.chunk_keys, (band.last_most - 1) // sizes.chunk_keys
    if chunk < opening or closing < chunk:
        return
    power, rest = split_scale(scale) if stored is not None else (scale, as_kind(1, kind))  # As in the forward pass.
    open_tile(operands, sizes, tile, work, left, power, chunk == opening, chunk == closing, stored)
    start, stop = chunk_of(sizes, chunk)
    first, last = max(band.first_least, start), min(band.last_most, stop)
    for k0 in range(first // ROWS * ROWS, last, step):  # Sums are of whole micro-kernels.
        at = (k0 - start) * size_of(kind)
        dk_at, dv_at = dk + at * sizes.d_rows, dv + at * sizes.dv_rows
        differentiate_block(
            operands, sizes, tile, band, k0, min(step, last - k0), scale, rest, softcap, work, dk_at, dv_at, stored
        )
    close_tile(operands, sizes, tile, work, left, chunk == closing)


@deferred_codegen
def size_of_sums(sizes, kind):
    """Bytes of a task's sums of dk and of dv."""
    rows = min(sizes.chunk_keys, round_up(sizes.kv_len, ROWS))
    return rows * sizes.d_rows * size_of(kind), rows * sizes.dv_rows * size_of(kind)


@deferred_codegen
def differentiate_heads(arguments, thread, kind, stored):
    """What one thread does: take the next head, or the next part of a head's queries for a chunk, until there is none."""
    operands, sizes, counters, memory, states = unpack_call(arguments)
    scale, softcap = as_kind(sizes.scale, kind), as_kind(sizes.softcap, kind)
    work = workspace(sizes, memory + thread * sizes.workspace_bytes, kind, stored)
    if stored is not None:
        configure_amx()
    splits, tiles = sizes.splits, sizes.strips * sizes.strip_tiles
    bytes_of_dk, bytes_of_dv = size_of_sums(sizes, kind)
    count = sizes.batch * sizes.kv_heads * splits
    sums, spills = states, states + (count if splits > 1 else sizes.threads) * (bytes_of_dk + bytes_of_dv)
    first_chunk = 0 if splits == 1 else pass_of(arguments) // 2
    last_chunk = chunks_of(sizes) if splits == 1 else first_chunk + 1
    while True:
        n = next_task(counters, sizes, thread, count)
        if n == count:
            break
        head = n // splits
        b, kv = head // sizes.kv_heads, head % sizes.kv_heads
        if sizes.in_place:
            dk, dv = address_of(operands.dk, b, kv, 0, 0), address_of(operands.dv, b, kv, 0, 0)
        else:
            dk = sums + (n if splits > 1 else thread) * (bytes_of_dk + bytes_of_dv)
            dv = dk + bytes_of_dk
        left = spills + (head if splits > 1 else thread) * tiles * sizes.spill_bytes
        begin, end = without_padding(operands, sizes, b)
        for chunk in range(first_chunk, last_chunk):
            view(dk, bytes_of_dk // size_of(kind), kind)[:] = 0
            view(dv, bytes_of_dv // size_of(kind), kind)[:] = 0
            for number in range(n % splits, tiles, splits):
                tile, at = tile_of(sizes, head, number, kind), left + number * sizes.spill_bytes
                differentiate(operands, sizes, tile, chunk, begin, end, scale, softcap, work, at, dk, dv, stored)
            if not sizes.in_place and splits == 1:
                start, stop = chunk_of(sizes, chunk)
                store_sums(operands, operands.dk, sizes, b, kv, start, stop, sizes.head_dim, dk, sizes.d_rows, kind)
                store_sums(operands, operands.dv, sizes, b, kv, start, stop, sizes.v_head_dim, dv, sizes.dv_rows, kind)
    if stored is not None:
        release_amx()


@deferred_codegen
def store_sums(operands, operand, sizes, b, kv, first, last, columns, sums, row, kind):
    """Rows [first, last) of dk or dv, rounded to their stored form, from sums at an address, `row` elements apart."""
    for j in range(first, last):
        target, source = address_of(operand, b, kv, j, 0), sums + (j - first) * row * size_of(kind)
        store_row(source, columns, sizes.storage, target, operand.by_column, kind)


@deferred_codegen
def reduce_heads(arguments, thread, kind, _):
    """What one thread does of a chunk's second pass: add the parts of the next block of rows into the first of them."""
    operands, sizes, counters, _, states = unpack_call(arguments)
    splits, (bytes_of_dk, bytes_of_dv) = sizes.splits, size_of_sums(sizes, kind)
    start, stop = chunk_of(sizes, pass_of(arguments) // 2)
    blocks = round_up(stop - start, BLOCK) // BLOCK
    count = sizes.batch * sizes.kv_heads * blocks
    while True:
        n = next_task(counters, sizes, thread, count)
        if n == count:
            break
        head, block = n // blocks, n % blocks * BLOCK
        last = min(block + BLOCK, stop - start)
        b, kv, sums = head // sizes.kv_heads, head % sizes.kv_heads, states + head * splits * (bytes_of_dk + bytes_of_dv)
        for operand, behind, row, columns in (
            (operands.dk, 0, sizes.d_rows, sizes.head_dim),
            (operands.dv, bytes_of_dk, sizes.dv_rows, sizes.v_head_dim),
        ):
            at = sums + behind + block * row * size_of(kind)
            total = view(at, (last - block) * row, kind)
            for p in range(1, splits):
                more = view(at + p * (bytes_of_dk + bytes_of_dv), total.size, kind)
                for n in range(total.size):
                    total[n] += more[n]
            store_sums(operands, operand, sizes, b, kv, start + block, start + last, columns, at, row, kind)


def backward(plan, call, threads):
    """dq, dk and dv."""
    if plan.sizes["splits"] == 1:
        passes = [(differentiate_heads, plan.kinds)]
    else:
        chunks = max(1, -(-plan.sizes["kv_len"] // plan.sizes["chunk_keys"]))
        passes = [(differentiate_heads, plan.kinds), (reduce_heads, (plan.kinds[0], None))] * chunks
    run(passes, call, plan.work, plan.states, threads)
