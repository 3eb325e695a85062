"""bfloat16 numbers in pairs, as VDPBF16PS multiplies them: two to a lane of 32 bits, the first in the lower half.

Keys lie in memory as pairs of columns. Queries and weights are rounded to pairs of rows, values interleaved to them, and the
scale is divided so that nothing is rounded twice.
"""

import numpy as np

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import view
from ..simd.bf16 import copy_bf16, interleave_pair
from ..simd.stored import lanes_of
from ..simd.transpose import transpose_pairs
from .operands import address_of, query_after, query_of
from .packing import pack_lanes, round_up, rows_are_contiguous


@deferred_codegen
def copy_bf16_rows(operands, operand, sizes, b, kv, row, rows, columns, out, out_rows):
    """Rows of keys or values as they are stored, with an even number of columns; zeros beyond the array. An address."""
    padded, step = round_up(columns, 2), operand.by_column
    for r in range(out_rows):
        source = address_of(operand, b, kv, row + r, 0)
        copy_bf16(source, step, columns if r < rows else 0, out + r * padded * 2, padded)


@deferred_codegen
def interleave_rows(operands, operand, sizes, b, kv, row, rows, columns, out, out_columns, kind):
    """out[j, c] = elements c of rows 2j and 2j + 1 of keys or values; zeros beyond the array. An address."""
    step = operand.by_column
    for j in range(0, rows, 2):
        first, target = address_of(operand, b, kv, row + j, 0), out + j // 2 * out_columns * 4
        second = address_of(operand, b, kv, row + j + 1, 0) if j + 1 < rows else 0
        interleave_pair(first, second, step, columns, target, out_columns, kind)


@deferred_codegen
def interleave_lanes(operands, operand, sizes, tile, columns, out, out_columns, kind):
    """out[j, c] = elements c of the rows of lanes 2j and 2j + 1 of a tile; zeros beyond both. An address."""
    step, (h, i) = operand.by_column, query_of(sizes, tile.kv, tile.lane)
    for n in range(0, tile.lanes, 2):
        first, (h, i) = address_of(operand, tile.b, h, i, 0), query_after(sizes, h, i)
        second, (h, i) = (
            address_of(operand, tile.b, h, i, 0) if n + 1 < tile.lanes else 0,
            query_after(sizes, h, i),
        )
        interleave_pair(first, second, step, columns, out + n // 2 * out_columns * 4, out_columns, kind)
    done = (tile.lanes + 1) // 2 * out_columns
    view(out, tile.vectors * lanes_of(kind) // 2 * out_columns, np.int32(0))[done:] = 0


@deferred_codegen
def pack_pairs(operands, operand, sizes, tile, columns, factor, out, scratch):
    """out[d, n] = columns 2 d and 2 d + 1 of the row of lane n of a tile, times a power of two; zeros beyond both.

    Addresses. out is (columns rounded up to pairs of vectors, width) numbers of two bytes, scratch (that many columns, lanes
    of a vector).
    """
    unit = lanes_of(factor)
    padded, width = round_up(columns, 2 * unit), tile.vectors * unit
    for n0 in range(0, width, unit):
        h, i = query_of(sizes, tile.kv, tile.lane + n0)
        source, apart = address_of(operand, tile.b, h, i, 0), operand.by_row
        if (
            n0 + unit > tile.lanes
            or columns < padded
            or not rows_are_contiguous(operands, operand, sizes, i, columns, unit, 2)
        ):
            source, apart = scratch, padded * 2
            for n in range(unit):
                count = columns if n0 + n < tile.lanes else 0
                row = address_of(operand, tile.b, h, i, 0)
                copy_bf16(row, operand.by_column, count, scratch + n * apart, padded)
                h, i = query_after(sizes, h, i)
        for d in range(0, padded // 2, unit):
            transpose_pairs(source + d * 4, apart, factor, out + (d * width + n0) * 4, width * 4)


@deferred_codegen
def load_columns(operands, operand, sizes, tile, columns, factor, out, scratch, stored):
    """out[d, n] = factor times element d of the row of lane n of a tile; of pairs unless `stored` is None."""
    if stored is not None:
        pack_pairs(operands, operand, sizes, tile, columns, factor, out.ctypes.data, scratch.ctypes.data)
    else:
        pack_lanes(operands, operand, sizes, tile, 0, columns, factor, out, scratch)
