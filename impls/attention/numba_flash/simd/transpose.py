"""Square blocks transposed in registers."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..runtime.llvm import INT32, INTP
from .amx import DEPTH, SIDE
from .stored import forms
from .vectors import simd, subroutine


@intrinsic
def transpose_bf16_block(typing, source, source_row, out, out_row):
    """out[c, j] = source[j, c] for 32 rows and 16 columns of two-byte numbers. Addresses, and bytes between rows."""

    def generate(context, builder, signature, arguments):
        subroutine(builder, "transpose_bf16_block", arguments, transpose_block_body)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate


def transpose_block_body(builder, arguments):
    """The body of `transpose_bf16_block`: pairs of rows make a square of four-byte numbers."""
    source, source_row, out, out_row = arguments
    half, whole = ir.VectorType(ir.IntType(16), SIDE), ir.VectorType(INT32, SIDE)

    def row(j):
        address = builder.add(source, builder.mul(source_row, INTP(j)))
        return builder.zext(builder.load(builder.inttoptr(address, half.as_pointer()), align=2), whole)

    high = ir.Constant(whole, [16] * SIDE)
    pairs = [builder.or_(row(j), builder.shl(row(j + 1), high)) for j in range(0, DEPTH, 2)]
    for c, column in enumerate(transposed(builder, SIDE, pairs)):
        address = builder.add(out, builder.mul(out_row, INTP(c)))
        builder.store(column, builder.inttoptr(address, whole.as_pointer()), align=2)


@intrinsic
def transpose_block(typing, source, source_row, storage, factors, destination, destination_row, kind):
    """A square block of lanes x lanes numbers, each row times a vector of factors, transposed in registers.

    Addresses; rows apart in elements. The source is as `storage` says, the destination of the type of `kind`.
    """

    def generate(context, builder, signature, arguments):
        subroutine(builder, f"transpose_block_{kind}", arguments[:-1], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        source, source_row, storage, factors, destination, destination_row = arguments
        unit = simd(str(kind))
        destination = unit.pointer(builder, destination)
        factor = unit.load(builder, unit.pointer(builder, factors), INTP(0))
        for stored in forms(builder, kind, storage):
            pointer = unit.stored_pointer(builder, source, stored)
            places = [builder.mul(source_row, INTP(n)) for n in range(unit.lanes)]
            rows = [builder.fmul(unit.load_stored(builder, pointer, place, stored), factor) for place in places]
            rows = transposed(builder, unit.lanes, rows)
            for n, row in enumerate(rows):
                unit.store(builder, row, destination, builder.mul(destination_row, INTP(n)))

    return types.void(*[types.intp] * 6, kind), generate


def transposed(builder, lanes, rows):
    """The columns of a square of vectors."""
    step = 1
    while step < lanes:  # Rows n and n + step exchange the off-diagonal blocks of their 2 step x 2 step squares.
        upper = [lanes + (i - step) if i & step else i for i in range(lanes)]
        lower = [lanes + i if i & step else i + step for i in range(lanes)]
        for n in range(lanes):
            if not n & step:
                a, b = rows[n], rows[n + step]
                rows[n] = builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, lanes), upper))
                rows[n + step] = builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INT32, lanes), lower))
        step *= 2
    return rows


@intrinsic
def transpose_pairs(typing, source, source_row, factor, destination, destination_row):
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
