"""A boolean mask on a tile of scores: what a query may not see becomes -inf.

A mask has a byte for each pair of query and key, and a row for each query; scores have a vector of queries for each key. So
32 bytes of a row become the bits of one number, such numbers of all lanes a vector, and each of its bits says which lanes
see one key.
"""

import math

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..layout.operands import address_of, query_after, query_of
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import INT32
from ..runtime.memory import load_byte, view
from ..simd.stored import lanes_of
from ..simd.vectors import simd, subroutine

BITS = 32


@intrinsic
def _load_booleans(typing, address):
    """32 bytes, in order, as the bits of one number: whether they are not zero."""

    def generate(context, builder, signature, arguments):
        kind = ir.VectorType(ir.IntType(8), BITS)
        booleans = builder.load(builder.inttoptr(arguments[0], kind.as_pointer()), align=1)
        return builder.bitcast(builder.icmp_unsigned("!=", booleans, ir.Constant(kind, [0] * BITS)), INT32)

    return types.uint32(types.intp), generate


@intrinsic
def _mask_rows(typing, s, width, count, words, kind):
    """Of `count` vectors of scores, `width` elements apart, lane n of the j-th is -inf unless bit j of words[n] is set.

    Addresses. `words` are as many as a vector has lanes.
    """

    def generate(context, builder, signature, arguments):
        subroutine(builder, f"mask_rows_{kind}", arguments[:-1], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        s, width, count, words = arguments
        unit = simd(str(kind))
        place = builder.inttoptr(words, ir.VectorType(INT32, unit.lanes).as_pointer())
        bits, zero = builder.load(place, align=4), ir.Constant(ir.VectorType(INT32, unit.lanes), [0] * unit.lanes)
        s, nothing = unit.pointer(builder, s), unit.constant(-math.inf)
        with cgutils.for_range(builder, count) as loop:
            bit = unit.splat(builder, builder.shl(INT32(1), builder.trunc(loop.index, INT32)))
            seen = builder.icmp_unsigned("!=", builder.and_(bits, bit), zero)
            at = builder.mul(loop.index, width)
            unit.store(builder, builder.select(seen, unit.load(builder, s, at), nothing), s, at)

    return types.void(*[types.intp] * 4, kind), generate


@deferred_codegen
def bits_at(address, step, count):
    """The bits of `count` booleans, `step` bytes apart; at most 32."""
    if count == BITS and step == 1:
        return _load_booleans(address)
    bits = np.uint32(0)
    for j in range(count):
        if load_byte(address + j * step) != 0:
            bits |= np.uint32(1) << np.uint32(j)
    return bits


@deferred_codegen
def apply_mask(operands, sizes, tile, k0, keys, s, scratch):
    """The mask on a tile's scores for the keys from k0 on. `scratch` has room for two vectors of numbers of eight bytes."""
    unit, step = lanes_of(s[0]), operands.mask.by_column
    width = tile.vectors * unit
    rows = view(scratch.ctypes.data, unit, np.int64(0))
    words = view(scratch.ctypes.data + rows.nbytes, unit, np.uint32(0))
    for n0 in range(0, width, unit):
        h, i = query_of(sizes, tile.kv, tile.lane + n0)
        for n in range(unit):
            rows[n] = address_of(operands.mask, tile.b, h, i, k0) if n0 + n < tile.lanes else 0
            h, i = query_after(sizes, h, i)
        for j in range(0, keys, BITS):
            count = min(BITS, keys - j)
            for n in range(unit):
                words[n] = bits_at(rows[n] + j * step, step, count) if rows[n] else np.uint32(0)
            _mask_rows(s.ctypes.data + (j * width + n0) * s.itemsize, width, count, words.ctypes.data, s[0])
