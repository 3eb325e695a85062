"""bfloat16 and float16 to float32 and back, one number or a vector of them, in LLVM IR.

Processors without instructions for float16 (F16C, AVX-512) convert it in integers: LLVM would call a function of the
compiler's run-time library, which is not linked.
"""

from llvmlite import ir

from ..runtime.llvm import INT16, INT32
from ..runtime.processor import has_float16


class _Like:
    """Types and constants of the shape of a value: a number, or a vector of as many lanes."""

    def __init__(self, value):
        self.lanes = getattr(value.type, "count", None)
        self.int16, self.int32, self.half, self.float = (
            kind if self.lanes is None else ir.VectorType(kind, self.lanes)
            for kind in (INT16, INT32, ir.HalfType(), ir.FloatType())
        )

    def integer(self, number):
        return ir.Constant(self.int32, number if self.lanes is None else [number] * self.lanes)


def from_bfloat16(builder, bits):
    """Exact: a bfloat16 is the upper half of a float32."""
    like = _Like(bits)
    return builder.bitcast(builder.shl(builder.zext(bits, like.int32), like.integer(16)), like.float)


def to_bfloat16(builder, value):
    """To the nearest number, ties to even; a nan stays a nan."""
    like = _Like(value)
    bits = builder.bitcast(value, like.int32)
    odd = builder.and_(builder.lshr(bits, like.integer(16)), like.integer(1))
    rounded = builder.lshr(builder.add(bits, builder.add(odd, like.integer(0x7FFF))), like.integer(16))
    kept = builder.select(builder.fcmp_unordered("uno", value, value), like.integer(0x7FC0), rounded)
    return builder.trunc(kept, like.int16)


def from_float16(builder, bits):
    """Exact."""
    like = _Like(bits)
    if has_float16():
        return builder.fpext(builder.bitcast(bits, like.half), like.float)
    wide = builder.zext(bits, like.int32)
    sign = builder.shl(builder.and_(wide, like.integer(0x8000)), like.integer(16))
    magnitude = builder.shl(builder.and_(wide, like.integer(0x7FFF)), like.integer(13))
    # The exponent is 112 too small; a product with 2^112 corrects it, of subnormal numbers too.
    power = builder.bitcast(like.integer((112 + 127) << 23), like.float)
    finite = builder.bitcast(builder.fmul(builder.bitcast(magnitude, like.float), power), like.int32)
    special = builder.or_(magnitude, like.integer(0x7F800000))
    is_special = builder.icmp_unsigned(">=", magnitude, like.integer(0x7C00 << 13))
    return builder.bitcast(builder.or_(sign, builder.select(is_special, special, finite)), like.float)


def to_float16(builder, value):
    """To the nearest number, ties to even; a nan stays a nan."""
    like = _Like(value)
    if has_float16():
        return builder.bitcast(builder.fptrunc(value, like.half), like.int16)
    bits = builder.bitcast(value, like.int32)
    sign = builder.lshr(builder.and_(bits, like.integer(0x80000000)), like.integer(16))
    magnitude = builder.and_(bits, like.integer(0x7FFFFFFF))
    odd = builder.and_(builder.lshr(magnitude, like.integer(13)), like.integer(1))
    rebiased = builder.sub(magnitude, like.integer((112 << 23) - 0xFFF))
    normal = builder.lshr(builder.add(rebiased, odd), like.integer(13))
    # Adding 1/2 to a number below 2^-14 rounds away the bits that float16 has no room for.
    half = like.integer(126 << 23)
    moved = builder.fadd(builder.bitcast(magnitude, like.float), builder.bitcast(half, like.float))
    subnormal = builder.sub(builder.bitcast(moved, like.int32), half)
    is_small = builder.icmp_unsigned("<", magnitude, like.integer(113 << 23))
    finite = builder.select(is_small, subnormal, normal)
    special = builder.select(builder.fcmp_unordered("uno", value, value), like.integer(0x7E00), like.integer(0x7C00))
    is_special = builder.icmp_unsigned(">=", magnitude, like.integer((127 + 16) << 23))
    return builder.trunc(builder.or_(sign, builder.select(is_special, special, finite)), like.int16)


def widen(builder, bits, is_bfloat16):
    """`from_bfloat16` or `from_float16`, by a boolean that is known at run time only."""
    return builder.select(is_bfloat16, from_bfloat16(builder, bits), from_float16(builder, bits))


def narrow(builder, value, is_bfloat16):
    """The inverse of `widen`."""
    return builder.select(is_bfloat16, to_bfloat16(builder, value), to_float16(builder, value))
