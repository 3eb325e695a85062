"""Products in the processor's matrix tiles.

AMX: Intel, "Instruction Set Extensions Programming Reference", ch. 3. A tile register has 16 rows of 64 bytes. TDPBF16PS
adds to one, of 16 x 16 float32 numbers, the product of two others: A of 16 rows of 32 bfloat16 numbers, and B of 16 rows of
pairs, for 16 columns. Keys are such an A as they lie, and packed queries and weights such a B (see `bf16`). For the second
product values must be transposed, so that a row has one of their columns for successive keys: `layout.transposed_values`.

On a processor without AMX the same products can be made of vectors, which tests everything around the instructions: see
`processor.amx`.
"""

import itertools

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import CACHE_LINE, INT8, INT32, INTP
from ..runtime.memory import members_of
from ..runtime.processor import amx
from .microkernel import WIDTHS
from .vectors import each_of, simd, subroutine

SIDE = 16
"""Rows of a tile register, and its columns of float32 numbers or pairs."""

DEPTH = 2 * SIDE
"""Numbers in a row of A, and rows of numbers that the pairs of B stand for."""

_BYTES = INT8.as_pointer()


class Registers:
    """The processor's instructions on its tile registers, which are numbered."""

    @staticmethod
    def _call(builder, name, *arguments):
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), arguments)

    def configure(self, builder):
        """Eight registers of 16 rows of 64 bytes."""
        layout = bytearray(64)
        layout[0] = 1  # The palette, of eight registers.
        layout[16:32], layout[48:56] = [CACHE_LINE, 0] * 8, [SIDE] * 8
        address = cgutils.global_constant(builder, "tile_registers", cgutils.make_bytearray(layout))
        self._call(builder, "ldtilecfg", builder.bitcast(address, _BYTES))

    def release(self, builder):
        """Give the registers back, which spares the system from saving them."""
        self._call(builder, "tilerelease")

    def zero(self, builder, register):
        self._call(builder, "tilezero", INT8(register))

    def load(self, builder, register, address, row_bytes):
        self._call(builder, "tileloadd64", INT8(register), builder.inttoptr(address, _BYTES), row_bytes)

    def store(self, builder, register, address, row_bytes):
        self._call(builder, "tilestored64", INT8(register), builder.inttoptr(address, _BYTES), row_bytes)

    def multiply_add(self, builder, c, a, b):
        self._call(builder, "tdpbf16ps", INT8(c), INT8(a), INT8(b))


class _Emulated:
    """The same instructions on arrays, on the stack of the one function that uses them."""

    def __init__(self):
        self._arrays = {}

    def configure(self, builder):
        pass

    release = configure

    def _row(self, builder, register, row, kind):
        if register not in self._arrays:
            self._arrays[register] = cgutils.alloca_once(builder, ir.ArrayType(INT32, SIDE * SIDE))
        address = builder.gep(self._arrays[register], [INTP(0), builder.mul(row, INTP(SIDE))])
        return builder.bitcast(address, kind.as_pointer())

    def _rows(self, builder):
        return cgutils.for_range(builder, INTP(SIDE))

    def zero(self, builder, register):
        kind = simd("float32").integers
        with self._rows(builder) as loop:
            builder.store(ir.Constant(kind, [0] * SIDE), self._row(builder, register, loop.index, kind), align=4)

    def load(self, builder, register, address, row_bytes):
        kind = simd("float32").integers
        with self._rows(builder) as loop:
            source = builder.inttoptr(builder.add(address, builder.mul(loop.index, row_bytes)), kind.as_pointer())
            builder.store(builder.load(source, align=1), self._row(builder, register, loop.index, kind), align=4)

    def store(self, builder, register, address, row_bytes):
        kind = simd("float32").integers
        with self._rows(builder) as loop:
            target = builder.inttoptr(builder.add(address, builder.mul(loop.index, row_bytes)), kind.as_pointer())
            builder.store(builder.load(self._row(builder, register, loop.index, kind), align=4), target, align=1)

    def multiply_add(self, builder, c, a, b):
        unit = simd("float32")
        with self._rows(builder) as row, self._rows(builder) as k:
            pairs = builder.bitcast(self._row(builder, a, row.index, unit.integers), INT32.as_pointer())
            left = unit.splat(builder, builder.load(builder.gep(pairs, [k.index])))
            right = builder.load(self._row(builder, b, k.index, unit.integers), align=4)
            sums = self._row(builder, c, row.index, unit.vector)
            builder.store(unit.dot_bf16_pairs(builder, left, right, builder.load(sums, align=4)), sums, align=4)


_OPERATIONS = {"processor": Registers, "emulated": _Emulated}.get(amx())

AMX = _OPERATIONS is not None
"""Whether pairs of bfloat16 numbers are multiplied in tiles. Numba does not compile the branch of a false constant."""


def _for_all_registers(emit):
    @intrinsic
    def call(typing):
        def generate(context, builder, signature, arguments):
            if _OPERATIONS:
                emit(_OPERATIONS(), builder)
            return context.get_dummy_value()

        return types.void(), generate

    return call


_configure = _for_all_registers(lambda operations, builder: operations.configure(builder))
_release = _for_all_registers(lambda operations, builder: operations.release(builder))


@deferred_codegen
def configure_amx(stored):
    """Before the first product of a thread."""
    if stored is not None:
        _configure()


@deferred_codegen
def release_amx(stored):
    """After the last product of a thread."""
    if stored is not None:
        _release()


@intrinsic
def amx_gemm(typing, vectors, steps, a, b, c):
    """C = A B, or C += A B: 16 rows of C, of 16 `vectors` float32 numbers, over 32 `steps` numbers.

    a and b are `Rows`, c a `Target`; strides count bytes. A is (16, 32 steps), B (16 steps, 16 vectors) of pairs.
    """
    signature = types.void(types.intp, types.intp, a, b, c)

    def generate(context, builder, signature, values):
        matrices = (members_of(context, builder, *one) for one in zip(signature.args[2:], values[2:], strict=True))
        arguments = [values[1], *itertools.chain(*matrices)]
        for number in each_of(builder, values[0], WIDTHS):
            subroutine(builder, f"amx_gemm_{number}", arguments, amx_gemm_body(_OPERATIONS(), number))
        return context.get_dummy_value()

    return signature, generate


def amx_gemm_body(operations, count):
    """The body of `amx_gemm`: a register for A, and for each 16 columns one for B and one for C."""

    def body(builder, arguments):
        steps, a, a_row, b, b_row, c, c_row, add = arguments
        left, *registers = range(1 + 2 * count)
        sums, right = registers[:count], registers[count:]
        offsets = [INTP(CACHE_LINE * n) for n in range(count)]
        with builder.if_else(add) as (adding, starting):
            with adding:
                for register, offset in zip(sums, offsets, strict=True):
                    operations.load(builder, register, builder.add(c, offset), c_row)
            with starting:
                for register in sums:
                    operations.zero(builder, register)
        with cgutils.for_range(builder, steps) as loop:
            operations.load(builder, left, builder.add(a, builder.mul(loop.index, INTP(CACHE_LINE))), a_row)
            row = builder.add(b, builder.mul(loop.index, builder.mul(b_row, INTP(SIDE))))
            for total, register, offset in zip(sums, right, offsets, strict=True):
                operations.load(builder, register, builder.add(row, offset), b_row)
                operations.multiply_add(builder, total, left, register)
        for register, offset in zip(sums, offsets, strict=True):
            operations.store(builder, register, builder.add(c, offset), c_row)

    return body
