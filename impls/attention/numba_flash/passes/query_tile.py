"""One tile of queries against its keys: the loop of FlashAttention-2 (Dao 2023, arXiv 2307.08691, alg. 1), transposed.

A tile of scores is (keys, queries), with queries along the vectors' lanes. Keys and values are then the operand of the
micro-kernel that is read one element at a time, so they are used where they lie, and the softmax of a query never crosses
lanes. What is packed is small: the tile's queries on the way in, its output on the way out.
"""

from typing import NamedTuple

import numpy as np

from ..layout.bf16_packing import load_columns
from ..layout.operands import Block, LaneRows, Span
from ..layout.packing import round_up
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import cut, multiply
from ..scores.band import seen_through_mask, visible
from ..scores.buffers import Buffers
from ..scores.masking import apply_bias_and_masks
from ..scores.prefetch import is_scattered, prefetch_lanes
from ..scores.softcap import apply_softcap
from ..scores.softmax import softmax
from ..simd.bf16 import pack_row_pairs
from ..simd.matrices import Shape
from ..simd.microkernel import MAX_VECTORS, ROWS
from ..simd.stored import NATIVE, bytes_of
from ..simd.vectors import lanes_of
from .gemm import Copies, Panel, Sum, gemm_output, gemm_scores

PREFETCH_KEYS = 2 * ROWS
"""Keys for whose products a share of the bias is prefetched: a processor has some 24 requests under way, and then waits."""


class Workspace(NamedTuple):
    """What a thread needs for `attend`."""

    queries: np.ndarray
    """The tile's queries along the lanes."""
    s: np.ndarray
    """Its scores, and then weights."""
    copied_keys: np.ndarray
    copied_values: np.ndarray
    scratch: np.ndarray
    """For packing."""
    first: np.ndarray
    last: np.ndarray
    states: np.ndarray
    """The states of the tiles that go through a chunk of keys together."""
    transposed: int
    """The address of values transposed for AMX, or zero."""


@deferred_codegen
def workspace(sizes, address, kind):
    """A `Workspace`, cut out of a thread's memory: see `layout.plan.plan_forward`."""
    lanes, native = lanes_of(kind), sizes.storage == NATIVE
    width, tile = MAX_VECTORS * lanes, sizes.tile_keys
    queries, address = cut(address, sizes.d_rows * width, kind)
    s, address = cut(address, tile * width, kind)
    keys, address = cut(address, (ROWS if native else tile) * sizes.head_dim, kind)
    values, address = cut(address, tile * (ROWS if native else sizes.dv_rows), kind)
    scratch, address = cut(address, lanes * (1 + max(sizes.d_rows, sizes.dv_rows)), kind)
    first, address = cut(address, width, np.int32(0))
    last, address = cut(address, width, np.int32(0))
    states, address = cut(address, sizes.chunk_tiles * (2 + sizes.dv_rows) * width, kind)
    return Workspace(
        queries, s, keys, values, scratch, first, last, states, address if sizes.transposed_row else np.int64(0)
    )


@deferred_codegen
def raw_scores(call, tile, keys, buffers, masked, stored):
    """The products of a tile's queries and some keys. Bias and mask, which will be applied to them, are prefetched."""
    operands, sizes, count, width = call.operands, call.sizes, keys.last - keys.first, tile.vectors * lanes_of(call.kind)
    if masked and is_scattered(operands.mask, 1, keys):
        prefetch_lanes(call, operands.mask, 1, tile, Span(0, tile.lanes), keys)
    size, queries = bytes_of(sizes.storage, call.kind), Panel(buffers.queries, tile.vectors)
    scattered = is_scattered(operands.bias, size, keys)
    part = PREFETCH_KEYS if scattered else count
    for r in range(0, count, part):
        if scattered:
            lanes = Span(tile.lanes * r // count, tile.lanes * min(r + part, count) // count)
            prefetch_lanes(call, operands.bias, size, tile, lanes, keys)
        block = Block(operands.k, tile.b, tile.kv, keys.first + r, min(part, count - r), 0, sizes.head_dim)
        gemm_scores(call, block, queries, buffers.s[r * width :], buffers.copied, stored)


@deferred_codegen
def scores(call, tile, keys, band, buffers, stored):
    """The tile's scores for some keys, with everything that comes before the softmax.

    Returns the rows of the scores, which are whole micro-kernels and -inf beyond the keys; 0 if the mask hides all keys, and
    no scores are written then.
    """
    some, every = seen_through_mask(call, tile, keys)
    if not some:
        return 0
    raw_scores(call, tile, keys, buffers, not every, stored)
    rows, width = round_up(keys.last - keys.first, ROWS), tile.vectors * lanes_of(call.kind)
    if call.score_scale != 1:
        multiply(buffers.s[: rows * width], call.score_scale)
    if call.softcap > 0:
        apply_softcap(buffers.s.ctypes.data, rows * width, call.softcap, buffers.slope, call.kind)
    apply_bias_and_masks(call, tile, keys, band, not every, buffers)
    return rows


@deferred_codegen
def is_fresh(m):
    """Whether a state has seen no key; then its o may hold anything."""
    fresh = True
    for n in range(m.size):
        fresh = fresh and m[n] == -np.inf
    return fresh


@deferred_codegen
def pack_weights(s, rows, width, stored):
    """Weights as the second product reads them: rounded to bfloat16 in pairs, unless `stored` is None."""
    if stored is not None:
        pack_row_pairs(s.ctypes.data, rows, width, s[0])


@deferred_codegen
def attend(call, tile, keys, work, state, stored):
    """Fold some keys into the `State` of a tile's queries. Keys that no query of the tile can see are not touched."""
    sizes, width, s = call.sizes, tile.vectors * lanes_of(call.kind), work.s
    lanes = Span(tile.lane, tile.lane + tile.lanes)
    band = visible(sizes, lanes, keys, work.first[:width], work.last[:width])
    if band.first_least >= band.last_most:
        return
    queries = LaneRows(call.operands.q, tile, 0, sizes.head_dim)
    load_columns(call, queries, call.query_scale, work.queries, work.scratch, stored)
    buffers = Buffers(work.queries, s, np.int64(0), work.copied_keys, work.scratch)
    copies = Copies(work.copied_values, work.transposed)
    fresh = is_fresh(state.m)  # Then o is overwritten, and not added to.
    for k0 in range(band.first_least, band.last_most, sizes.tile_keys):
        count = min(sizes.tile_keys, band.last_most - k0)
        rows = scores(call, tile, Span(k0, k0 + count), band, buffers, stored)
        if rows == 0:
            continue
        softmax(Shape(rows, tile.vectors), s, state, 0 if fresh else state.o.size // width)
        pack_weights(s, rows, width, stored)
        values = Block(call.operands.v, tile.b, tile.kv, k0, count, 0, sizes.v_head_dim)
        gemm_output(call, values, Panel(s, tile.vectors), Sum(state.o, not fresh), copies, stored)
        fresh = False
