"""Single elements at an address, and their conversion: what is stored may be float64, float32, bfloat16 or float16.

Numba's arrays carry their layout in their type, and a kernel would be compiled for every combination of layouts. Addresses
and strides are numbers.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from impls.kernels.fused.simd import INTP, simd

FLOAT64, FLOAT32, BFLOAT16, FLOAT16 = range(4)
STORAGE = {"float64": FLOAT64, "float32": FLOAT32, "bfloat16": BFLOAT16, "float16": FLOAT16}
SIZES = {FLOAT64: 8, FLOAT32: 4, BFLOAT16: 2, FLOAT16: 2}

_INT16, _INT32 = ir.IntType(16), ir.IntType(32)


def _accumulator(kind):
    return ir.FloatType() if kind == types.float32 else ir.DoubleType()


@intrinsic
def load(typing, address, kind):
    """The float at an address, of the type of `kind`."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], _accumulator(kind).as_pointer()))

    return kind(types.intp, kind), generate


@intrinsic
def store(typing, address, value):
    """Write a float to an address, in its own type."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], _accumulator(value).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, value), generate


@intrinsic
def load_byte(typing, address):
    """The byte at an address: a boolean of a mask."""

    def generate(context, builder, signature, arguments):
        return builder.load(builder.inttoptr(arguments[0], ir.IntType(8).as_pointer()))

    return types.uint8(types.intp), generate


@intrinsic
def load_half(typing, address, is_bfloat16):
    """The float32 of a half-precision number at an address."""

    def generate(context, builder, signature, arguments):
        address, is_bfloat16 = arguments
        bits = builder.load(builder.inttoptr(address, _INT16.as_pointer()))
        wide = builder.bitcast(builder.shl(builder.zext(bits, _INT32), _INT32(16)), ir.FloatType())
        half = builder.fpext(builder.bitcast(bits, ir.HalfType()), ir.FloatType())
        return builder.select(is_bfloat16, wide, half)

    return types.float32(types.intp, types.boolean), generate


@intrinsic
def store_half(typing, address, value, is_bfloat16):
    """Round a float32 to the nearest half-precision number, ties to even, and write it."""

    def generate(context, builder, signature, arguments):
        address, value, is_bfloat16 = arguments
        bits = builder.bitcast(value, _INT32)
        odd = builder.and_(builder.lshr(bits, _INT32(16)), _INT32(1))
        rounded = builder.lshr(builder.add(bits, builder.add(odd, _INT32(0x7FFF))), _INT32(16))
        quiet_nan = _INT32(0x7FC0)
        brain = builder.trunc(builder.select(builder.fcmp_unordered("uno", value, value), quiet_nan, rounded), _INT16)
        half = builder.bitcast(builder.fptrunc(value, ir.HalfType()), _INT16)
        builder.store(builder.select(is_bfloat16, brain, half), builder.inttoptr(address, _INT16.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.float32, types.boolean), generate


@intrinsic
def widen(typing, source, destination, count, is_bfloat16):
    """Write `count` contiguous half-precision numbers as float32, in vectors; returns how many of the last are left."""

    def generate(context, builder, signature, arguments):
        source, destination, count, is_bfloat16 = arguments
        unit = simd("float32")
        halves = ir.VectorType(_INT16, unit.lanes)
        source = builder.inttoptr(source, _INT16.as_pointer())
        destination = unit.pointer(builder, destination)
        whole = builder.udiv(count, INTP(unit.lanes))
        with cgutils.for_range(builder, whole) as loop:
            at = builder.mul(loop.index, INTP(unit.lanes))
            bits = builder.load(builder.bitcast(builder.gep(source, [at]), halves.as_pointer()), align=2)
            brain = builder.bitcast(builder.shl(builder.zext(bits, unit.integers), unit.integer_constant(16)), unit.vector)
            half = builder.fpext(builder.bitcast(bits, ir.VectorType(ir.HalfType(), unit.lanes)), unit.vector)
            unit.store(builder, builder.select(is_bfloat16, brain, half), destination, at)
        return builder.urem(count, INTP(unit.lanes))

    return types.intp(types.intp, types.intp, types.intp, types.boolean), generate
