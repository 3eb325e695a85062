"""Queries, keys and values of bfloat16 as pairs, without a conversion: see `simd.bf16`.

Keys lie in memory as pairs of columns. Queries are transposed by pairs of columns, rows of queries and values interleaved
by pairs of rows.
"""

import numpy as np

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import view
from ..simd.bf16 import copy_bf16, interleave_rows
from ..simd.matrices import Rows
from ..simd.transpose import transpose_pairs
from ..simd.vectors import lanes_of
from .operands import address_of, query_after, query_of
from .packing import are_whole_vectors, pack_lanes, round_up


@deferred_codegen
def copy_bf16_block(block, out, out_rows):
    """Copy a block of whole rows, with an even number of columns; zeros beyond it. `out` is an address."""
    padded = round_up(block.columns, 2)
    for r in range(out_rows):
        source, count = address_of(block.operand, block.b, block.h, block.row + r, 0), block.columns if r < block.rows else 0
        copy_bf16(source, block.operand.by_column, count, out + r * padded * 2, padded)


@deferred_codegen
def interleave_block(block, out, out_columns):
    """out[j, c] = elements c of rows 2j and 2j + 1 of a block of whole rows; zeros beyond it. `out` is an address."""
    operand, step = block.operand, block.operand.by_column
    for j in range(0, block.rows, 2):
        first, target = address_of(operand, block.b, block.h, block.row + j, 0), out + j // 2 * out_columns * 4
        second = address_of(operand, block.b, block.h, block.row + j + 1, 0) if j + 1 < block.rows else 0
        interleave_rows(first, second, step, block.columns, target, out_columns)


@deferred_codegen
def interleave_lanes(call, rows, out, out_columns):
    """out[j, c] = elements c of the rows of lanes 2j and 2j + 1 of a tile; zeros beyond both. `out` is an address."""
    tile, operand, step, columns = rows.tile, rows.operand, rows.operand.by_column, rows.columns
    h, i = query_of(call.sizes, tile.kv, tile.lane)
    for n in range(0, tile.lanes, 2):
        first, (h, i) = address_of(operand, tile.b, h, i, 0), query_after(call.sizes, h, i)
        second = address_of(operand, tile.b, h, i, 0) if n + 1 < tile.lanes else 0
        h, i = query_after(call.sizes, h, i)
        interleave_rows(first, second, step, columns, out + n // 2 * out_columns * 4, out_columns)
    done = (tile.lanes + 1) // 2 * out_columns
    view(out, tile.vectors * lanes_of(call.kind) // 2 * out_columns, np.int32(0))[done:] = 0


@deferred_codegen
def pack_pairs(call, rows, factor, out, scratch):
    """out[d, n] = columns 2 d and 2 d + 1 of the row of lane n of a tile, times a power of two; zeros beyond both.

    Addresses. out is (columns rounded up to pairs of vectors, width) numbers of two bytes, scratch (that many columns, lanes
    of a vector).
    """
    tile, operand, lanes = rows.tile, rows.operand, lanes_of(factor)
    padded, width = round_up(rows.columns, 2 * lanes), tile.vectors * lanes
    for n0 in range(0, width, lanes):
        h, i = query_of(call.sizes, tile.kv, tile.lane + n0)
        source = Rows(address_of(operand, tile.b, h, i, 0), operand.by_row)
        if n0 + lanes > tile.lanes or rows.columns < padded or not are_whole_vectors(call, rows, i, 2):
            source = Rows(np.int64(scratch), padded * 2)
            for n in range(lanes):
                row, count = address_of(operand, tile.b, h, i, 0), rows.columns if n0 + n < tile.lanes else 0
                copy_bf16(row, operand.by_column, count, scratch + n * source.row, padded)
                h, i = query_after(call.sizes, h, i)
        for d in range(0, padded // 2, lanes):
            target = Rows(out + (d * width + n0) * 4, width * 4)
            transpose_pairs(Rows(source.address + d * 4, source.row), factor, target)


@deferred_codegen
def load_columns(call, rows, factor, out, scratch, stored):
    """out[d, n] = factor times element d of the row of lane n of a tile; of pairs unless `stored` is None."""
    if stored is not None:
        pack_pairs(call, rows, factor, out.ctypes.data, scratch.ctypes.data)
    else:
        pack_lanes(call, rows, factor, out, scratch)
