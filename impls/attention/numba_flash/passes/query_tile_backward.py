"""One tile of queries, backward: what is kept of it, and its part of the gradients from a block of keys.

The formulas are in `backward.py`. Scores are (keys, queries) as in `query_tile.py`, and so are their gradients:
dq is a product like the output, with queries along the lanes, while dk and dv need queries row by row as well.
"""

from typing import NamedTuple

import numpy as np

from ..layout.bf16_packing import interleave_lanes, load_columns
from ..layout.operands import address_of, query_after, query_of
from ..layout.packing import pack_lanes, unpack_lanes
from ..runtime.call import LOG_SUM, MAXIMUM
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import as_kind, copy, cut, load_native, view
from ..scores.softmax import weights
from ..simd.bf16 import pack_row_pairs, round_rows
from ..simd.exponential import LOG2E
from ..simd.microkernel import MAX_VECTORS
from ..simd.stored import lanes_of, load_row
from .dq_spill import reload, spill
from .gemm import gemm_gradients, gemm_output, gemm_scores
from .query_tile import scores

NOT_TRANSPOSED = 0
"""No place for keys that are transposed: each of them meets a tile of queries once."""


class Workspace(NamedTuple):
    """What a thread needs for `differentiate`. By lanes: element d of lane n at [d, n]."""

    qt: np.ndarray
    """The tile's queries by lanes."""
    q: np.ndarray
    dot: np.ndarray
    """The gradient of its output by lanes."""
    do: np.ndarray
    dqt: np.ndarray
    """The gradient of its queries by lanes."""
    s: np.ndarray
    ds: np.ndarray
    slope: np.ndarray
    """Of the softcap; there is none without."""
    spare: np.ndarray
    """For copies and for packing: a block is used up before the next thing is copied."""
    first: np.ndarray
    last: np.ndarray
    state: np.ndarray
    """Of the softmax: see `weights`."""
    delta: np.ndarray


@deferred_codegen
def workspace(sizes, address, kind, stored):
    """A `Workspace`, cut out of a thread's memory."""
    width, tile, d, dv = MAX_VECTORS * lanes_of(kind), sizes.tile_keys, sizes.d_rows, sizes.dv_rows
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
    state, address = cut(address, 2 * width, kind)
    delta, address = cut(address, width, kind)
    slope = view(address, tile * width, kind)
    return Workspace(qt, q, dot, do, dqt, s, ds, slope, spare, first, last, state, delta)


@deferred_codegen
def rows_beside(columns, address, stored):
    """(rows of as many numbers as the columns, what is free behind them).

    Pairs are half as large: where the columns are before these are pairs, rows find room behind them.
    """
    if stored is not None:
        half = columns.size // 2
        return view(columns.ctypes.data + half * columns.itemsize, half, columns[0]), address
    return cut(address, columns.size, columns[0])


@deferred_codegen
def load_rows(operands, operand, sizes, tile, columns, out, padded, stored):
    """out[n] = the row of lane n, zeros beyond the last lane and column; pairs of two unless `stored` is None."""
    if stored is not None:
        interleave_lanes(operands, operand, sizes, tile, columns, out.ctypes.data, padded, out[0])
        return
    h, i = query_of(sizes, tile.kv, tile.lane)
    for n in range(tile.lanes):
        address, to = address_of(operand, tile.b, h, i, 0), out.ctypes.data + n * padded * out.itemsize
        load_row(address, operand.by_column, columns, sizes.storage, to, out[0])
        out[n * padded + columns : (n + 1) * padded] = 0
        h, i = query_after(sizes, h, i)
    out[tile.lanes * padded : tile.vectors * lanes_of(out[0]) * padded] = 0


@deferred_codegen
def load_softmax_state(operands, sizes, tile, tops, logs):
    """Each lane's m and -log2 l; inf and 0, which make every weight zero, where there is nothing to attend to."""
    tops[:] = np.inf
    logs[:] = 0
    h, i = query_of(sizes, tile.kv, tile.lane)
    for n in range(tile.lanes):
        log_sum = load_native(address_of(operands.softmax_state, tile.b, h, i, LOG_SUM), logs[0])
        if log_sum != -np.inf:
            tops[n] = load_native(address_of(operands.softmax_state, tile.b, h, i, MAXIMUM), tops[0])
            logs[n] = -LOG2E * log_sum
        h, i = query_after(sizes, h, i)


@deferred_codegen
def load_output_sums(operands, sizes, tile, dot, ot, delta, scratch):
    """delta[n] = Σ_c do[n, c] o[n, c]. The former is left in `dot` by lanes; `ot` is scratch for the latter."""
    one, columns, width = as_kind(1, delta[0]), sizes.v_head_dim, delta.size
    pack_lanes(operands, operands.do, sizes, tile, 0, columns, one, dot, scratch)
    pack_lanes(operands, operands.o, sizes, tile, 0, columns, one, ot, scratch)
    delta[:] = 0
    for c in range(columns):
        for n in range(width):
            delta[n] += dot[c * width + n] * ot[c * width + n]


@deferred_codegen
def open_tile(operands, sizes, tile, work, left, power, is_first, is_last, stored):
    """All that a chunk needs of a tile's queries, and their dq as far as it has got.

    `left` is the address of what the tile leaves from one chunk to the next: D, then thirds of dq (see `dq_spill.py`).
    """
    kind, scratch, width = work.s[0], work.spare, tile.vectors * lanes_of(work.s[0])
    d, v_dim, delta, spills = sizes.head_dim, sizes.v_head_dim, work.delta[:width], view(left, width, kind)
    if is_first:
        load_output_sums(operands, sizes, tile, work.dot, work.dqt, delta, scratch)
        if not is_last:
            copy(delta, spills)
        work.dqt[:] = 0
    else:
        copy(spills, delta)
        reload(address_of_dq(operands, sizes, tile), sizes, tile.lanes, width, work.dqt, left + spills.nbytes)
    load_softmax_state(operands, sizes, tile, work.state[:width], work.state[width : 2 * width])
    if stored is not None or not is_first:
        load_columns(operands, operands.do, sizes, tile, v_dim, as_kind(1, kind), work.dot, scratch, stored)
    load_columns(operands, operands.q, sizes, tile, d, power, work.qt, scratch, stored)
    load_rows(operands, operands.q, sizes, tile, d, work.q, sizes.d_rows, stored)
    load_rows(operands, operands.do, sizes, tile, v_dim, work.do, sizes.dv_rows, stored)


@deferred_codegen
def close_tile(operands, sizes, tile, work, left, is_last):
    """Write dq, or put it away until the next chunk."""
    width = tile.vectors * lanes_of(work.s[0])
    if is_last:
        work.delta[:] = 1
        unpack_lanes(operands, operands.dq, sizes, tile, sizes.head_dim, work.dqt, work.delta, work.spare)
    else:
        thirds = left + width * work.s.itemsize
        spill(address_of_dq(operands, sizes, tile), sizes, tile.lanes, width, work.dqt, thirds)


@deferred_codegen
def address_of_dq(operands, sizes, tile):
    h, i = query_of(sizes, tile.kv, tile.lane)
    return address_of(operands.dq, tile.b, h, i, 0)


@deferred_codegen
def differentiate_block(operands, sizes, tile, band, k0, keys, scale, rest, softcap, work, dk, dv, stored):
    """Add up what a tile's queries and so many keys from k0 on give: the formulas of `backward.py` one after the other.

    dk and dv are the addresses of these keys' sums.
    """
    qt, q, dot, do, dqt, s, ds, slope, copied, _, _, state, delta = work
    kind, width, d, v_dim = s[0], tile.vectors * lanes_of(s[0]), sizes.head_dim, sizes.v_head_dim
    slope_at = slope.ctypes.data
    rows = scores(operands, sizes, tile, band, k0, keys, qt, rest, softcap, copied, s, slope_at, copied, stored)
    if rows == 0:
        return
    gemm_scores(operands, operands.v, sizes, tile, k0, keys, v_dim, dot, copied, ds, stored)
    weights(tile.vectors, s.ctypes.data, ds.ctypes.data, rows, state.ctypes.data, delta.ctypes.data, scale, kind)
    if softcap > 0:
        for n in range(rows * width):
            ds[n] *= slope[n]
    p_rows, ds_rows = np.int64(s.ctypes.data), np.int64(ds.ctypes.data)
    if stored is not None:  # Both fit where weights were, and gradients of scores in pairs where they were.
        ds_rows = p_rows + rows * width * 2
        round_rows(p_rows, rows * width, p_rows, kind)
        round_rows(ds.ctypes.data, rows * width, ds_rows, kind)
        pack_row_pairs(ds.ctypes.data, rows, width, kind)
    gemm_gradients(p_rows, rows, width, do.ctypes.data, sizes.dv_rows, dv, sizes.dv_rows, kind, stored)
    gemm_gradients(ds_rows, rows, width, q.ctypes.data, sizes.d_rows, dk, sizes.d_rows, kind, stored)
    gemm_output(operands, operands.k, sizes, tile, k0, keys, d, ds, copied, NOT_TRANSPOSED, dqt, True, stored)
