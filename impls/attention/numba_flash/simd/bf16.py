"""bfloat16 numbers in pairs, as VDPBF16PS multiplies them: two to a lane of 32 bits, the first in the lower half."""

import math

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import INT16, INT32, INTP
from ..runtime.memory import as_kind, copy, view
from .vectors import simd, subroutine


@deferred_codegen
def split_scale(scale):
    """(power of two, the rest), whose product is the scale; the rest has its sign and lies between 1 and 2 but for that."""
    mantissa, exponent = math.frexp(scale)
    return as_kind(math.ldexp(1.0, exponent - 1), scale), as_kind(2 * mantissa, scale)


@intrinsic
def pack_row_pairs(typing, x, rows, width, kind):
    """Pairs of rows of x at that address, (rows, width), rounded to bfloat16, in place: (rows / 2, width) of int32.

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
    """`count` numbers at x, pairs of whole vectors, rounded to bfloat16 at `out`, which may be the same address."""

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
def interleave(typing, first, second, out, count, kind):
    """out[c] = (first[c], second[c]) for whole vectors of two-byte numbers; returns how many that are."""

    def generate(context, builder, signature, arguments):
        first, second, out, count, _ = arguments
        unit = simd(str(kind))
        whole = builder.udiv(count, INTP(unit.lanes))
        numbers = ir.VectorType(INT16, unit.lanes)
        order = [i // 2 + i % 2 * unit.lanes for i in range(2 * unit.lanes)]
        with cgutils.for_range(builder, whole) as loop:
            at = builder.mul(loop.index, INTP(unit.lanes))
            rows = [
                builder.load(
                    builder.bitcast(builder.gep(builder.inttoptr(row, INT16.as_pointer()), [at]), numbers.as_pointer()),
                    align=2,
                )
                for row in (first, second)
            ]
            both = builder.shuffle_vector(*rows, ir.Constant(ir.VectorType(INT32, 2 * unit.lanes), order))
            target = builder.gep(builder.inttoptr(out, INT32.as_pointer()), [at])
            builder.store(both, builder.bitcast(target, both.type.as_pointer()), align=4)
        return builder.mul(whole, INTP(unit.lanes))

    return types.intp(*[types.intp] * 4, kind), generate


@intrinsic
def load_bits(typing, address):
    """The two bytes at an address."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], INT16.as_pointer()), align=2)

    return types.uint16(types.intp), generate


@intrinsic
def store_bits(typing, address, bits):
    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], INT16.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(types.intp, types.uint16), generate


@deferred_codegen
def copy_bf16(source, step, count, out, out_count):
    """`count` numbers of two bytes, `step` bytes apart, then zeros up to `out_count`. Addresses."""
    target = view(out, out_count, np.uint16(0))
    if step == 2:
        copy(view(source, count, np.uint16(0)), target[:count])
    else:
        for c in range(count):
            target[c] = load_bits(source + c * step)
    target[count:] = 0


@deferred_codegen
def interleave_pair(first, second, step, columns, out, out_columns, kind):
    """out[c] = elements c, `step` bytes apart, of two rows; zeros beyond the last one. Addresses, the second may be zero."""
    done = interleave(first, second, out, columns, kind) if step == 2 and second else 0
    for c in range(done, out_columns):
        store_bits(out + c * 4, load_bits(first + c * step) if c < columns else np.uint16(0))
        store_bits(out + c * 4 + 2, load_bits(second + c * step) if c < columns and second else np.uint16(0))
