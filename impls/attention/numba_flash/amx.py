"""Products in the processor's matrix tiles (AMX: Intel, "Instruction Set Extensions Programming Reference", ch. 3).

A tile register has 16 rows of 64 bytes. TDPBF16PS adds to one, of 16 x 16 float32 numbers, the product of two others: A of
16 rows of 32 bfloat16 numbers, and B of 16 rows of pairs, for 16 columns. Keys are such an A as they lie, and packed queries
and weights such a B (see `bf16_packing`). For the second product values must be transposed, so that a row has one of their
columns for successive keys. That is done once for all tiles of queries that go through a chunk of keys together.

Where there are no such registers the same products can be made of vectors, so that all the rest is tested on any processor
that has the conversions: see `processor.amx`.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .bf16_packing import copy_bf16_rows
from .deferred_codegen import deferred_codegen
from .memory import view
from .microkernel import WIDTHS
from .operands import BY_COLUMN, BY_ROW, KV_LEN, TRANSPOSED_ROW, address_of
from .processor import amx
from .rows import transposed
from .simd import INT32, INTP, LINE, each_of, simd, subroutine

SIDE = 16
"""Rows of a tile register, and its columns of float32 numbers or pairs."""

DEPTH = 2 * SIDE
"""Rows that pairs stand for: the numbers in a row of A."""

_INT8, _BYTES = ir.IntType(8), ir.IntType(8).as_pointer()


class Registers:
    """Instructions on the processor's tile registers, which are numbered."""

    @staticmethod
    def _call(builder, name, *arguments):
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), arguments)

    def configure(self, builder):
        """All eight registers are of 16 rows of 64 bytes."""
        layout = bytearray(64)
        layout[0] = 1  # The palette, of eight registers.
        layout[16:32], layout[48:56] = [LINE, 0] * 8, [SIDE] * 8
        address = cgutils.global_constant(builder, "tile_registers", cgutils.make_bytearray(layout))
        self._call(builder, "ldtilecfg", builder.bitcast(address, _BYTES))

    def release(self, builder):
        """As they were before, which spares the system from saving them."""
        self._call(builder, "tilerelease")

    def zero(self, builder, register):
        self._call(builder, "tilezero", _INT8(register))

    def load(self, builder, register, address, row_bytes):
        self._call(builder, "tileloadd64", _INT8(register), builder.inttoptr(address, _BYTES), row_bytes)

    def store(self, builder, register, address, row_bytes):
        self._call(builder, "tilestored64", _INT8(register), builder.inttoptr(address, _BYTES), row_bytes)

    def multiply_add(self, builder, c, a, b):
        self._call(builder, "tdpbf16ps", _INT8(c), _INT8(a), _INT8(b))


class _Emulated:
    """The same instructions on arrays on the stack of the one function that they are for."""

    def __init__(self):
        self._arrays = {}

    def configure(self, builder):
        pass

    release = configure

    def _row(self, builder, register, row, kind):
        if register not in self._arrays:
            self._arrays[register] = cgutils.alloca_once(builder, ir.ArrayType(INT32, SIDE * SIDE))
        place = builder.gep(self._arrays[register], [INTP(0), builder.mul(row, INTP(SIDE))])
        return builder.bitcast(place, kind.as_pointer())

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
"""Whether pairs of bfloat16 numbers are multiplied in tiles. Numba does not compile what is behind an `if` of a constant."""


@intrinsic
def configure_amx(typing):
    """Before the first product of a thread."""

    def generate(context, builder, signature, arguments):
        if _OPERATIONS:
            _OPERATIONS().configure(builder)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def release_amx(typing):
    """After its last."""

    def generate(context, builder, signature, arguments):
        if _OPERATIONS:
            _OPERATIONS().release(builder)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def amx_gemm(typing, count, steps, a, a_row, b, b_row, c, c_row, add):
    """C = A B, or C += A B when `add`: 16 rows of C, of `count` times 16 float32 numbers, over `steps` times 32 numbers.

    Addresses, and bytes between rows. A is (16, 32 steps) with contiguous rows, B (16 steps, 16 count) of pairs.
    """

    def generate(context, builder, signature, arguments):
        for number in each_of(builder, arguments[0], WIDTHS):
            subroutine(builder, f"amx_gemm_{number}", arguments[1:], amx_gemm_body(_OPERATIONS(), number))
        return context.get_dummy_value()

    return types.void(*[types.intp] * 8, types.boolean), generate


def amx_gemm_body(operations, count):
    """The body of `amx_gemm`: a register for A, and for each 16 columns one for B and one for C."""

    def body(builder, arguments):
        steps, a, a_row, b, b_row, c, c_row, add = arguments
        left, *registers = range(1 + 2 * count)
        sums, right = registers[:count], registers[count:]
        at = [INTP(LINE * n) for n in range(count)]
        with builder.if_else(add) as (adding, starting):
            with adding:
                for register, place in zip(sums, at, strict=True):
                    operations.load(builder, register, builder.add(c, place), c_row)
            with starting:
                for register in sums:
                    operations.zero(builder, register)
        with cgutils.for_range(builder, steps) as loop:
            operations.load(builder, left, builder.add(a, builder.mul(loop.index, INTP(LINE))), a_row)
            row = builder.add(b, builder.mul(loop.index, builder.mul(b_row, INTP(SIDE))))
            for total, register, place in zip(sums, right, at, strict=True):
                operations.load(builder, register, builder.add(row, place), b_row)
                operations.multiply_add(builder, total, left, register)
        for register, place in zip(sums, at, strict=True):
            operations.store(builder, register, builder.add(c, place), c_row)

    return body


@intrinsic
def _transpose(typing, source, source_row, out, out_row):
    """out[c, j] = source[j, c] for 32 rows and 16 columns of two-byte numbers. Addresses, and bytes between rows."""

    def generate(context, builder, signature, arguments):
        subroutine(builder, "transpose_bf16_block", arguments, transpose_block_body)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate


def transpose_block_body(builder, arguments):
    """The body of `_transpose`: pairs of rows are vectors of four-byte numbers, of which a square is transposed."""
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


@deferred_codegen
def reset_transposed_values(address, k0):
    """From now on `address`, unless it is zero, is for the values of the keys from k0 on."""
    if address:
        view(address, 2, k0)[:] = k0


@deferred_codegen
def transposed_values(operands, operand, sizes, b, kv, k0, keys, columns, copied, address):
    """The address of the values of `keys` keys, from k0 on, transposed: [c, j], rows `sizes[TRANSPOSED_ROW]` bytes apart.

    Before them, at `address`: the first key that they are for, and the end of the keys transposed so far, in blocks of 32.
    `copied` is the address of scratch for a block. `columns` is a multiple of 16.
    """
    state, rows, apart = view(address, 2, k0), address + LINE, sizes[TRANSPOSED_ROW]
    while state[1] < k0 + keys:
        j = state[1]
        source, row = address_of(operands, operand, b, kv, j, 0), operands[operand, BY_ROW]
        if operands[operand, BY_COLUMN] != 2 or j + DEPTH > sizes[KV_LEN]:
            count = min(DEPTH, sizes[KV_LEN] - j)
            copy_bf16_rows(operands, operand, sizes, b, kv, j, count, columns, copied, np.int64(DEPTH))
            source, row = copied, np.int64(columns * 2)
        for c in range(0, columns, SIDE):
            _transpose(source + c * 2, row, rows + c * apart + (j - state[0]) * 2, apart)
        state[1] += DEPTH
    return rows + (k0 - state[0]) * 2
