"""bfloat16 numbers in pairs, as VDPBF16PS multiplies them: two to a lane of 32 bits, the first in the lower half."""

import math

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import INT16, INT32, INTP
from ..runtime.memory import as_kind, copy, view
from .vectors import interleaved, simd, subroutine


@deferred_codegen
def split_scale(scale, stored):
    """(factor of the queries, factor of the scores), whose product is the scale.

    Queries in half precision are multiplied by a power of two, which rounds nothing; the rest has the scale's sign and a
    size of 1 to 2. Other queries are multiplied by the scale.
    """
    if stored is not None:
        mantissa, exponent = math.frexp(scale)
        return as_kind(math.ldexp(1.0, exponent - 1), scale), as_kind(2 * mantissa, scale)
    return scale, as_kind(1, scale)


@intrinsic
def pack_row_pairs(typing, x, rows, width, kind):
    """Round pairs of rows of x, (rows, width) at an address, to bfloat16 in place: (rows / 2, width) of int32.

    See `Simd.pack_bf16`. `rows` is even, `width` whole vectors.
    """

    def generate(context, builder, signature, arguments):
        subroutine(builder, f"pack_row_pairs_{kind}", arguments[:-1], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        x, rows, width = arguments
        unit = simd(str(kind))
        x, out = unit.pointer(builder, x), builder.inttoptr(x, INT32.as_pointer())
        vectors = builder.udiv(width, INTP(unit.lanes))
        with cgutils.for_range(builder, builder.udiv(rows, INTP(2))) as pair:
            first = builder.mul(pair.index, builder.mul(width, INTP(2)))
            with cgutils.for_range(builder, vectors) as loop:
                at = builder.mul(loop.index, INTP(unit.lanes))
                low = unit.load(builder, x, builder.add(first, at))
                high = unit.load(builder, x, builder.add(builder.add(first, width), at))
                target = builder.gep(out, [builder.add(builder.mul(pair.index, width), at)])
                both = unit.pack_bf16(builder, low, high)
                builder.store(both, builder.bitcast(target, both.type.as_pointer()), align=4)

    return types.void(*[types.intp] * 3, kind), generate


@intrinsic
def round_rows(typing, x, count, out, kind):
    """Round `count` numbers at x, pairs of whole vectors, to bfloat16 at `out`, which may be the same address."""

    def generate(context, builder, signature, arguments):
        subroutine(builder, f"round_rows_{kind}", arguments[:-1], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        x, count, out = arguments
        unit = simd(str(kind))
        x, out = unit.pointer(builder, x), builder.inttoptr(out, INT16.as_pointer())
        with cgutils.for_range(builder, builder.udiv(count, INTP(2 * unit.lanes))) as loop:
            at = builder.mul(loop.index, INTP(2 * unit.lanes))
            first, second = unit.load(builder, x, at), unit.load(builder, x, builder.add(at, INTP(unit.lanes)))
            both = unit.round_to_bf16(builder, first, second)
            builder.store(both, builder.bitcast(builder.gep(out, [at]), both.type.as_pointer()), align=2)

    return types.void(*[types.intp] * 3, kind), generate


@intrinsic
def _interleave(typing, first, second, out, count):
    """out[c] = (first[c], second[c]) for whole vectors of two-byte numbers; returns how many numbers these are."""

    def generate(context, builder, signature, arguments):
        first, second, out, count = arguments
        unit = simd("float32")
        whole = builder.udiv(count, INTP(unit.lanes))
        vector = ir.VectorType(INT16, unit.lanes).as_pointer()
        order = ir.Constant(ir.VectorType(INT32, 2 * unit.lanes), interleaved(unit.lanes))
        first, second = (builder.inttoptr(row, INT16.as_pointer()) for row in (first, second))
        with cgutils.for_range(builder, whole) as loop:
            at = builder.mul(loop.index, INTP(unit.lanes))
            rows = [builder.load(builder.bitcast(builder.gep(row, [at]), vector), align=2) for row in (first, second)]
            both = builder.shuffle_vector(*rows, order)
            target = builder.gep(builder.inttoptr(out, INT32.as_pointer()), [at])
            builder.store(both, builder.bitcast(target, both.type.as_pointer()), align=4)
        return builder.mul(whole, INTP(unit.lanes))

    return types.intp(*[types.intp] * 4), generate


@intrinsic
def load_bits(typing, address):
    """The two bytes at an address."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], INT16.as_pointer()), align=2)

    return types.uint16(types.intp), generate


@intrinsic
def store_bits(typing, address, bits):
    """Write two bytes to an address."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], INT16.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(types.intp, types.uint16), generate


@deferred_codegen
def copy_bf16(source, step, count, out, out_count):
    """Copy `count` numbers of two bytes, `step` bytes apart, and write zeros up to `out_count`. Addresses."""
    target = view(out, out_count, np.uint16(0))
    if step == 2:
        copy(view(source, count, np.uint16(0)), target[:count])
    else:
        for c in range(count):
            target[c] = load_bits(source + c * step)
    target[count:] = 0


@deferred_codegen
def interleave_rows(first, second, step, columns, out, out_columns):
    """out[c] = elements c, `step` bytes apart, of two rows; zeros beyond `columns`. Addresses; the second may be zero."""
    done = _interleave(first, second, out, columns) if step == 2 and second else 0
    for c in range(done, out_columns):
        store_bits(out + c * 4, load_bits(first + c * step) if c < columns else np.uint16(0))
        store_bits(out + c * 4 + 2, load_bits(second + c * step) if c < columns and second else np.uint16(0))
