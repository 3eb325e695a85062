"""One tile of queries, backward: what is kept of it, and its part of the gradients from a block of keys.

The formulas are in `backward.py`. Scores are (keys, queries) as in `query_tile.py`, and so are their gradients: dq is a
product like the output, with queries along the lanes, while dk and dv need queries row by row as well.
"""

from typing import NamedTuple

import numpy as np

from ..layout.bf16_packing import interleave_lanes, load_columns
from ..layout.operands import Block, LaneRows, address_of, query_after, query_of
from ..layout.packing import pack_lanes, unpack_lanes
from ..runtime.call import LOG_SUM, MAXIMUM
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import as_kind, copy, cut, load_native, view
from ..scores.buffers import Buffers
from ..scores.softmax import weights
from ..simd.bf16 import pack_row_pairs, round_rows
from ..simd.exponential import LOG2E
from ..simd.matrices import Shape
from ..simd.microkernel import MAX_VECTORS
from ..simd.stored import load_row
from ..simd.vectors import lanes_of
from .dq_spill import reload, spill
from .gemm import Copies, Panel, RowPanel, Sum, gemm_gradients, gemm_output, gemm_scores
from .query_tile import scores

NOT_TRANSPOSED = 0
"""No address for keys transposed for AMX: each key meets a tile of queries once."""


class Workspace(NamedTuple):
    """What a thread needs for `differentiate`. Along the lanes: element d of lane n at [d, n]."""

    qt: np.ndarray
    """The tile's queries along the lanes."""
    q: np.ndarray
    """Row by row."""
    dot: np.ndarray
    """The gradient of its output along the lanes."""
    do: np.ndarray
    dqt: np.ndarray
    """The gradient of its queries along the lanes."""
    s: np.ndarray
    ds: np.ndarray
    slope: np.ndarray
    """The slope of the softcap; empty without one."""
    spare: np.ndarray
    """For copies and for packing: a block is used up before the next one is copied."""
    first: np.ndarray
    last: np.ndarray
    state: np.ndarray
    """The softmax state: see `scores.softmax.weights`."""
    delta: np.ndarray


class Sums(NamedTuple):
    """Addresses of the sums that a block of keys, or a chunk, adds to."""

    dk: int
    dv: int


@deferred_codegen
def workspace(call, address, stored):
    """A `Workspace`, cut out of a thread's memory: see `layout.plan.plan_backward`."""
    sizes, kind = call.sizes, call.kind
    width, tile, d, dv = MAX_VECTORS * lanes_of(kind), sizes.tile_keys, sizes.d_rows, sizes.dv_rows
    qt, address = cut(address, d * width, kind)
    q, address = rows_beside(qt, address, stored)
    dot, address = cut(address, dv * width, kind)
    do, address = rows_beside(dot, address, stored)
    dqt, address = cut(address, max(d, dv) * width, kind)
    s, address = cut(address, tile * width, kind)
    ds, address = cut(address, tile * width, kind)
    copied, scratch = halved(tile * max(d, dv), stored), lanes_of(kind) * (1 + max(d, dv))
    spare, address = cut(address, max(copied, scratch), kind)
    first, address = cut(address, width, np.int32(0))
    last, address = cut(address, width, np.int32(0))
    state, address = cut(address, 2 * width, kind)
    delta, address = cut(address, width, kind)
    slope = view(address, tile * width, kind)
    return Workspace(qt, q, dot, do, dqt, s, ds, slope, spare, first, last, state, delta)


@deferred_codegen
def halved(count, stored):
    """The room for numbers, in numbers of the type that is computed with: half as many unless `stored` is None."""
    return count // 2 if stored is not None else count


@deferred_codegen
def rows_beside(columns, address, stored):
    """(as many numbers as the columns, for the same rows one after the other; the next free address).

    Pairs are half as large: then there is room for the rows behind the columns, where these were before they became pairs.
    """
    if stored is not None:
        half = columns.size // 2
        return view(columns.ctypes.data + half * columns.itemsize, half, columns[0]), address
    return cut(address, columns.size, columns[0])


@deferred_codegen
def load_rows(call, rows, out, padded, stored):
    """out[n] = the row of lane n, `padded` elements apart, zeros beyond the last lane and column.

    Unless `stored` is None, pairs of two lanes: see `interleave_lanes`.
    """
    if stored is not None:
        interleave_lanes(call, rows, out.ctypes.data, padded)
        return
    tile, operand, columns, size = rows.tile, rows.operand, rows.columns, out.itemsize
    h, i = query_of(call.sizes, tile.kv, tile.lane)
    for n in range(tile.lanes):
        address, target = address_of(operand, tile.b, h, i, 0), out.ctypes.data + n * padded * size
        load_row(address, operand.by_column, columns, call.sizes.storage, target, call.kind)
        out[n * padded + columns : (n + 1) * padded] = 0
        h, i = query_after(call.sizes, h, i)
    out[tile.lanes * padded : tile.vectors * lanes_of(call.kind) * padded] = 0


@deferred_codegen
def load_softmax_state(call, tile, tops, logs):
    """Each lane's m and -log2 l; inf and 0, which make every weight zero, in a row without keys."""
    tops[:] = np.inf
    logs[:] = 0
    operand, (h, i) = call.operands.softmax_state, query_of(call.sizes, tile.kv, tile.lane)
    for n in range(tile.lanes):
        log_sum = load_native(address_of(operand, tile.b, h, i, LOG_SUM), call.kind)
        if log_sum != -np.inf:
            tops[n] = load_native(address_of(operand, tile.b, h, i, MAXIMUM), call.kind)
            logs[n] = -LOG2E * log_sum
        h, i = query_after(call.sizes, h, i)


@deferred_codegen
def load_output_sums(call, tile, work, delta):
    """delta[n] = Σ_c do[n, c] o[n, c]. Leaves do along the lanes; o needs the room of dq meanwhile."""
    one, columns, width = as_kind(1, call.kind), call.sizes.v_head_dim, delta.size
    pack_lanes(call, LaneRows(call.operands.do, tile, 0, columns), one, work.dot, work.spare)
    pack_lanes(call, LaneRows(call.operands.o, tile, 0, columns), one, work.dqt, work.spare)
    delta[:] = 0
    for c in range(columns):
        for n in range(width):
            delta[n] += work.dot[c * width + n] * work.dqt[c * width + n]


@deferred_codegen
def is_packed(stored):
    """Whether products read pairs of bfloat16 numbers."""
    return stored is not None


@deferred_codegen
def open_tile(call, tile, work, spilled, is_first, is_last, stored):
    """Load what a chunk of keys needs of a tile's queries, and their dq so far.

    At the address `spilled` the tile keeps D from one chunk to the next, then the third bytes of dq (`dq_spill`).
    """
    sizes, width = call.sizes, tile.vectors * lanes_of(call.kind)
    delta, kept = work.delta[:width], view(spilled, width, call.kind)
    if is_first:
        load_output_sums(call, tile, work, delta)
        if not is_last:
            copy(delta, kept)
        work.dqt[:] = 0
    else:
        copy(kept, delta)
        reload(sizes, tile.lanes, width, work.dqt, address_of_dq(call, tile), spilled + kept.nbytes)
    load_softmax_state(call, tile, work.state[:width], work.state[width : 2 * width])
    queries = LaneRows(call.operands.q, tile, 0, sizes.head_dim)
    gradients = LaneRows(call.operands.do, tile, 0, sizes.v_head_dim)
    if is_packed(stored) or not is_first:
        load_columns(call, gradients, as_kind(1, call.kind), work.dot, work.spare, stored)
    load_columns(call, queries, call.query_scale, work.qt, work.spare, stored)
    load_rows(call, queries, work.q, sizes.d_rows, stored)
    load_rows(call, gradients, work.do, sizes.dv_rows, stored)


@deferred_codegen
def close_tile(call, tile, work, spilled, is_last):
    """Write dq, or spill it until the next chunk."""
    width = tile.vectors * lanes_of(call.kind)
    if is_last:
        work.delta[:] = 1
        dq = LaneRows(call.operands.dq, tile, 0, call.sizes.head_dim)
        unpack_lanes(call, dq, work.dqt, work.delta, work.spare)
    else:
        thirds = spilled + width * work.s.itemsize
        spill(call.sizes, tile.lanes, width, work.dqt, address_of_dq(call, tile), thirds)


@deferred_codegen
def address_of_dq(call, tile):
    """The address of the tile's first row of dq."""
    h, i = query_of(call.sizes, tile.kv, tile.lane)
    return address_of(call.operands.dq, tile.b, h, i, 0)


@deferred_codegen
def round_weights(s, ds, rows, width, stored):
    """(weights, gradients of scores) as `RowPanel`s; of bfloat16, unless `stored` is None, and then ds in pairs as well.

    Both rounded arrays fit where the weights were, and the pairs where the gradients were.
    """
    p_rows, ds_rows = np.int64(s.ctypes.data), np.int64(ds.ctypes.data)
    if stored is not None:
        ds_rows = p_rows + rows * width * 2
        round_rows(p_rows, rows * width, p_rows, s[0])
        round_rows(ds.ctypes.data, rows * width, ds_rows, s[0])
        pack_row_pairs(ds.ctypes.data, rows, width, s[0])
    return RowPanel(p_rows, rows, width), RowPanel(ds_rows, rows, width)


@deferred_codegen
def differentiate_block(call, tile, keys, band, work, sums, stored):
    """Add up what a tile's queries and some keys give: the formulas of `backward.py` one after the other."""
    s, ds, delta, spare = work.s, work.ds, work.delta, work.spare
    sizes, count, vectors = call.sizes, keys.last - keys.first, tile.vectors
    width, slope = vectors * lanes_of(call.kind), np.int64(work.slope.ctypes.data)
    rows = scores(call, tile, keys, band, Buffers(work.qt, s, slope, spare, spare), stored)
    if rows == 0:
        return
    values = Block(call.operands.v, tile.b, tile.kv, keys.first, count, 0, sizes.v_head_dim)
    gemm_scores(call, values, Panel(work.dot, vectors), ds, spare, stored)
    weights(Shape(rows, vectors), s, ds, work.state, delta, call.scale)
    if call.softcap > 0:
        for n in range(rows * width):
            ds[n] *= work.slope[n]
    p_rows, ds_rows = round_weights(s, ds, rows, width, stored)
    gemm_gradients(call, p_rows, work.do.ctypes.data, sums.dv, sizes.dv_rows, stored)
    gemm_gradients(call, ds_rows, work.q.ctypes.data, sums.dk, sizes.d_rows, stored)
    block = Block(call.operands.k, tile.b, tile.kv, keys.first, count, 0, sizes.head_dim)
    copies = Copies(spare, np.int64(NOT_TRANSPOSED))
    gemm_output(call, block, Panel(ds, vectors), Sum(work.dqt, True), copies, stored)
