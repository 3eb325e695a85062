"""Queries in, as in `packing.py`, but for numbers of two bytes that stay what they are: two columns at a time.

A pair of neighbours in a row is 32 bits, and so is a lane: transposed it is what the micro-kernel multiplies, in half as
many steps as to widen, transpose and round again.
"""

from numba.core import types
from numba.extending import intrinsic

from .bf16_packing import copy_bf16
from .deferred_codegen import deferred_codegen
from .memory import lanes_of
from .operands import BY_COLUMN, BY_ROW, address_of, query_after, query_of
from .packing import pack_lanes, round_up, rows_are_contiguous
from .rows import transposed
from .simd import INTP, simd, subroutine


@intrinsic
def _transpose(typing, source, source_row, factor, destination, destination_row):
    """A square block of lanes x lanes pairs of bfloat16 numbers, each times a power of two, transposed in registers.

    Addresses; rows apart in bytes.
    """

    def generate(context, builder, signature, arguments):
        subroutine(builder, "transpose_pairs", arguments, body)
        return context.get_dummy_value()

    def body(builder, arguments):
        source, source_row, factor, destination, destination_row = arguments
        unit = simd("float32")
        factor = unit.splat(builder, factor)
        upper, sixteen = unit.integer_constant(0xFFFF0000), unit.integer_constant(16)

        def place(address, row, n):
            return builder.inttoptr(builder.add(address, builder.mul(row, INTP(n))), unit.integers.as_pointer())

        def times(bits):
            return builder.bitcast(builder.fmul(builder.bitcast(bits, unit.vector), factor), unit.integers)

        rows = []
        for n in range(unit.lanes):
            both = builder.load(place(source, source_row, n), align=2)
            first, second = times(builder.shl(both, sixteen)), times(builder.and_(both, upper))
            rows.append(builder.or_(builder.lshr(first, sixteen), builder.and_(second, upper)))
        for n, row in enumerate(transposed(builder, unit.lanes, rows)):
            builder.store(row, place(destination, destination_row, n), align=4)

    return types.void(types.intp, types.intp, factor, types.intp, types.intp), generate


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
        source, apart = address_of(operands, operand, tile.b, h, i, 0), operands[operand, BY_ROW]
        if (
            n0 + unit > tile.lanes
            or columns < padded
            or not rows_are_contiguous(operands, operand, sizes, i, columns, unit, 2)
        ):
            source, apart = scratch, padded * 2
            for n in range(unit):
                count = columns if n0 + n < tile.lanes else 0
                row = address_of(operands, operand, tile.b, h, i, 0)
                copy_bf16(row, operands[operand, BY_COLUMN], count, scratch + n * apart, padded)
                h, i = query_after(sizes, h, i)
        for d in range(0, padded // 2, unit):
            _transpose(source + d * 4, apart, factor, out + (d * width + n0) * 4, width * 4)


@deferred_codegen
def load_columns(operands, operand, sizes, tile, columns, factor, out, scratch, stored):
    """out[d, n] = factor times element d of the row of lane n of a tile; of pairs unless `stored` is None."""
    if stored is not None:
        pack_pairs(operands, operand, sizes, tile, columns, factor, out.ctypes.data, scratch.ctypes.data)
    else:
        pack_lanes(operands, operand, sizes, tile, 0, columns, factor, out, scratch)
