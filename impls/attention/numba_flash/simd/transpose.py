"""Square blocks of numbers, transposed in registers."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..runtime.llvm import INT16, INT32, INTP
from ..runtime.memory import members_of
from .amx import DEPTH, SIDE
from .stored import each_form
from .vectors import simd, subroutine


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
def transpose_block(typing, source, storage, factors, destination, kind):
    """Transpose lanes x lanes numbers, each row of them times the vector of numbers at the address `factors`.

    source and destination are `Rows`; strides count elements. The source is stored as `storage` says, the destination in the
    type of `kind`.
    """
    signature = types.void(source, types.intp, types.intp, destination, kind)

    def generate(context, builder, signature, values):
        source, destination = (members_of(context, builder, signature.args[n], values[n]) for n in (0, 3))
        subroutine(builder, f"transpose_block_{kind}", [*source, *values[1:3], *destination], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        source, source_row, storage, factors, destination, destination_row = arguments
        unit = simd(str(kind))
        destination = unit.pointer(builder, destination)
        factor = unit.load(builder, unit.pointer(builder, factors), INTP(0))
        for stored in each_form(builder, kind, storage):
            pointer = unit.stored_pointer(builder, source, stored)
            indices = [builder.mul(source_row, INTP(n)) for n in range(unit.lanes)]
            rows = [builder.fmul(unit.load_stored(builder, pointer, index, stored), factor) for index in indices]
            for n, row in enumerate(transposed(builder, unit.lanes, rows)):
                unit.store(builder, row, destination, builder.mul(destination_row, INTP(n)))

    return signature, generate


@intrinsic
def transpose_pairs(typing, source, factor, destination):
    """Transpose lanes x lanes pairs of bfloat16 numbers, each number times a power of two.

    source and destination are `Rows`; strides count bytes. A pair of neighbours in a row is 32 bits, as a lane is. That
    takes half as many steps as to convert to float32, transpose and round again.
    """
    signature = types.void(source, factor, destination)

    def generate(context, builder, signature, values):
        source, destination = (members_of(context, builder, signature.args[n], values[n]) for n in (0, 2))
        subroutine(builder, "transpose_pairs", [*source, values[1], *destination], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        source, source_row, factor, destination, destination_row = arguments
        unit = simd("float32")
        factor = unit.splat(builder, factor)
        upper, sixteen = unit.integer_constant(0xFFFF0000), unit.integer_constant(16)

        def pointer(address, row, n):
            return builder.inttoptr(builder.add(address, builder.mul(row, INTP(n))), unit.integers.as_pointer())

        def times(bits):
            return builder.bitcast(builder.fmul(builder.bitcast(bits, unit.vector), factor), unit.integers)

        rows = []
        for n in range(unit.lanes):
            both = builder.load(pointer(source, source_row, n), align=2)
            first, second = times(builder.shl(both, sixteen)), times(builder.and_(both, upper))
            rows.append(builder.or_(builder.lshr(first, sixteen), builder.and_(second, upper)))
        for n, row in enumerate(transposed(builder, unit.lanes, rows)):
            builder.store(row, pointer(destination, destination_row, n), align=4)

    return signature, generate


@intrinsic
def transpose_for_amx(typing, source, out):
    """out[c, j] = source[j, c] for 32 rows and 16 columns of two-byte numbers. Both are `Rows`; strides count bytes."""
    signature = types.void(source, out)

    def generate(context, builder, signature, values):
        source, out = (members_of(context, builder, *one) for one in zip(signature.args, values, strict=True))
        subroutine(builder, "transpose_for_amx", [*source, *out], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        """Pairs of rows make a square of four-byte numbers."""
        source, source_row, out, out_row = arguments
        half, whole = ir.VectorType(INT16, SIDE), ir.VectorType(INT32, SIDE)

        def row(j):
            address = builder.add(source, builder.mul(source_row, INTP(j)))
            return builder.zext(builder.load(builder.inttoptr(address, half.as_pointer()), align=2), whole)

        high = ir.Constant(whole, [16] * SIDE)
        pairs = [builder.or_(row(j), builder.shl(row(j + 1), high)) for j in range(0, DEPTH, 2)]
        for c, column in enumerate(transposed(builder, SIDE, pairs)):
            address = builder.add(out, builder.mul(out_row, INTP(c)))
            builder.store(column, builder.inttoptr(address, whole.as_pointer()), align=2)

    return signature, generate
