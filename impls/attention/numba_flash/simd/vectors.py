"""Vectors of the host's width, for micro-kernels that are written in LLVM IR and called from Numba.

An intrinsic's body runs once, when Numba compiles: it uses llvmlite's builder to emit instructions on vector types such
as `<16 x float>`. Addresses are passed as integers, because the types of arrays would bring their bounds along.
"""

from functools import cache

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..runtime.llvm import INT16, INT32, INTP
from ..runtime.processor import fuses, vector_bytes
from . import half_precision

_STORED = {
    "int16": (INT16, half_precision.from_bfloat16, half_precision.to_bfloat16),
    "uint16": (INT16, half_precision.from_float16, half_precision.to_float16),
}
"""The Numba types that stand for stored half precision: int16 for bfloat16, uint16 for float16."""


class Simd:
    """Vector operations on one floating-point type, emitted through a builder."""

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.size = self.dtype.itemsize
        self.lanes = vector_bytes() // self.size
        self.scalar = ir.FloatType() if self.size == 4 else ir.DoubleType()
        self.integer = ir.IntType(8 * self.size)
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.integers = ir.VectorType(self.integer, self.lanes)
        self.suffix = f"v{self.lanes}f{8 * self.size}"

    def constant(self, value):
        return ir.Constant(self.vector, [float(self.dtype.type(value))] * self.lanes)

    def integer_constant(self, value):
        return ir.Constant(self.integers, [value] * self.lanes)

    def splat(self, builder, value):
        """All lanes equal to a scalar."""
        vector = ir.VectorType(value.type, self.lanes)
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, INT32(0))
        zeros = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

    def pointer(self, builder, address):
        return builder.inttoptr(address, self.scalar.as_pointer())

    def at(self, builder, pointer, index):
        """The pointer to the vector that begins at element `index` of a pointer to scalars."""
        return builder.bitcast(builder.gep(pointer, [index]), self.vector.as_pointer())

    def load(self, builder, pointer, index):
        return builder.load(self.at(builder, pointer, index), align=self.size)

    def store(self, builder, value, pointer, index):
        builder.store(value, self.at(builder, pointer, index), align=self.size)

    def stored_pointer(self, builder, address, stored):
        """A pointer to numbers of the Numba type `stored`: see `_STORED`."""
        kind = _STORED[str(stored)][0] if str(stored) in _STORED else self.scalar
        return builder.inttoptr(address, kind.as_pointer())

    def load_stored(self, builder, pointer, index, stored):
        """A vector of stored numbers, converted."""
        if str(stored) not in _STORED:
            return self.load(builder, pointer, index)
        kind, widen, _ = _STORED[str(stored)]
        vector = builder.bitcast(builder.gep(pointer, [index]), ir.VectorType(kind, self.lanes).as_pointer())
        return widen(builder, builder.load(vector, align=kind.width // 8))

    def store_stored(self, builder, value, pointer, index, stored):
        """The inverse of `load_stored`: to the nearest stored number, ties to even."""
        size = self.size
        if str(stored) in _STORED:
            kind, _, narrow = _STORED[str(stored)]
            value, size = narrow(builder, value), kind.width // 8
        builder.store(value, builder.bitcast(builder.gep(pointer, [index]), value.type.as_pointer()), align=size)

    def keep_order(self, builder):
        """A barrier for LLVM, which would otherwise mix the loads before it with those after it."""
        builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", (), True)

    def fold(self, builder, a, b, terms):
        """Partial sums of a, then of b, in groups of `terms` lanes; in a and b they are in groups of twice as many."""
        groups = self.lanes // (2 * terms)
        first = [2 * terms * g + t for g in range(groups) for t in range(terms)]
        kind = ir.VectorType(INT32, self.lanes)
        low = ir.Constant(kind, first + [self.lanes + i for i in first])
        high = ir.Constant(kind, [i + terms for i in first] + [self.lanes + i + terms for i in first])
        return builder.fadd(builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high))

    def reduce(self, builder, vector, combine):
        """All lanes combined, in every lane."""
        step = self.lanes // 2
        while step:
            moved = ir.Constant(ir.VectorType(INT32, self.lanes), [i ^ step for i in range(self.lanes)])
            vector = combine(vector, builder.shuffle_vector(vector, vector, moved))
            step //= 2
        return vector

    def _call(self, builder, name, *arguments):
        kinds = [argument.type for argument in arguments]
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(self.vector, kinds), f"llvm.{name}.{self.suffix}"
        )
        return builder.call(function, arguments)

    def fma(self, builder, a, b, c):
        """a * b + c, with one rounding if the processor has it: LLVM would emulate it by a function call for each number."""
        if not fuses():
            return builder.fadd(builder.fmul(a, b), c)
        return self._call(builder, "fma", a, b, c)

    def round(self, builder, a):
        """To the nearest integer."""
        return self._call(builder, "rint", a)

    def dot_bf16_pairs(self, builder, a, b, c):
        """c + the dot product of each lane's pairs of bfloat16 numbers, in vectors of int32 (VDPBF16PS)."""
        kind = ir.FunctionType(self.vector, [self.vector, self.integers, self.integers])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512bf16.dpbf16ps.512")
        return builder.call(function, [c, a, b])

    def round_to_bf16(self, builder, first, second):
        """Two vectors rounded to bfloat16, the second behind the first (VCVTNE2PS2BF16)."""
        kind = ir.FunctionType(ir.VectorType(INT16, 2 * self.lanes), [self.vector, self.vector])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512bf16.cvtne2ps2bf16.512")
        return builder.call(function, [second, first])

    def pack_bf16(self, builder, first, second):
        """Two vectors rounded to bfloat16, lane by lane in one int32, the first in its lower half."""
        both = self.round_to_bf16(builder, first, second)
        order = ir.Constant(ir.VectorType(INT32, 2 * self.lanes), interleaved(self.lanes))
        return builder.bitcast(builder.shuffle_vector(both, ir.Constant(both.type, ir.Undefined), order), self.integers)

    @property
    def scales(self):
        """Whether the processor multiplies by powers of two in one instruction: AVX-512's VSCALEF."""
        return self.lanes * self.size == 64

    def scale(self, builder, a, power):
        """a * 2**power for integer powers, zero for -inf whatever a is."""
        name = "ps" if self.size == 4 else "pd"
        mask, rounding = ir.IntType(max(8, self.lanes)), INT32(4)
        kind = ir.FunctionType(self.vector, [self.vector, self.vector, self.vector, mask, INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.avx512.mask.scalef.{name}.512")
        return builder.call(function, [a, power, self.constant(0), mask(-1), rounding])

    def maximum(self, builder, a, b):
        """The larger of two; the second if either is nan, as x86 has it."""
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def interleaved(lanes):
    """The order of elements that interleaves the two halves of a vector of twice as many lanes."""
    return [i // 2 + i % 2 * lanes for i in range(2 * lanes)]


@cache
def simd(name: str) -> Simd:
    """The operations for "float32" or "float64"."""
    return Simd(name)


@intrinsic
def lanes_of(typing, kind):
    """The numbers of the type of `kind` in a vector."""

    def generate(context, builder, signature, arguments):
        return INTP(simd(str(kind)).lanes)

    return types.intp(kind), generate


def each_of(builder, value, numbers):
    """For each of some integers: the builder in a branch that is taken if `value`, known at run time, is that integer."""
    for number in numbers:
        with builder.if_then(builder.icmp_signed("==", value, INTP(number))):
            yield number


def subroutine(builder, name, arguments, body):
    """Call a function of its own, made by `body(builder, arguments)` once for each module and never inlined.

    A micro-kernel is long, and a copy at every place that calls it would cost seconds of compilation.
    """
    function = builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        function = ir.Function(builder.module, kind, name)
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        inner = ir.IRBuilder(function.append_basic_block("entry"))
        body(inner, function.args)
        inner.ret_void()
    builder.call(function, arguments)
