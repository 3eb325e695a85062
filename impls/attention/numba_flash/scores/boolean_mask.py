"""A boolean mask on a tile of scores: the scores of keys that a query may not see become -inf.

A mask has a byte for each pair of query and key, and a row for each query; scores have a vector of queries for each key. So
32 bytes of a row become the bits of one number, the numbers of all lanes a vector, and each of its bits says which lanes see
one key.
"""

import math

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..layout.operands import address_of, query_after, query_of
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import INT8, INT32
from ..runtime.memory import load_byte, view
from ..simd.vectors import lanes_of, simd, subroutine

BITS = 32


@intrinsic
def _load_booleans(typing, address):
    """Whether each of 32 bytes is not zero, in order, as the bits of one number."""

    def generate(context, builder, signature, arguments):
        kind = ir.VectorType(INT8, BITS)
        booleans = builder.load(builder.inttoptr(arguments[0], kind.as_pointer()), align=1)
        return builder.bitcast(builder.icmp_unsigned("!=", booleans, ir.Constant(kind, [0] * BITS)), INT32)

    return types.uint32(types.intp), generate


@intrinsic
def _mask_rows(typing, s, width, count, words, kind):
    """Write -inf into lane n of the j-th of `count` vectors of scores, `width` elements apart, if bit j of words[n] is 0.

    Addresses. There is a word for each lane of a vector.
    """

    def generate(context, builder, signature, arguments):
        subroutine(builder, f"mask_rows_{kind}", arguments[:-1], body)
        return context.get_dummy_value()

    def body(builder, arguments):
        s, width, count, words = arguments
        unit = simd(str(kind))
        integers = ir.VectorType(INT32, unit.lanes)
        bits = builder.load(builder.inttoptr(words, integers.as_pointer()), align=4)
        s, zero, nothing = unit.pointer(builder, s), ir.Constant(integers, [0] * unit.lanes), unit.constant(-math.inf)
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
def apply_mask(call, tile, keys, s, scratch):
    """Apply the mask to a tile's scores for some keys. `scratch` has room for two vectors of numbers of eight bytes."""
    mask, lanes, count = call.operands.mask, lanes_of(call.kind), keys.last - keys.first
    width, step = tile.vectors * lanes, mask.by_column
    rows = view(scratch.ctypes.data, lanes, np.int64(0))
    words = view(scratch.ctypes.data + rows.nbytes, lanes, np.uint32(0))
    for n0 in range(0, width, lanes):
        h, i = query_of(call.sizes, tile.kv, tile.lane + n0)
        for n in range(lanes):
            rows[n] = address_of(mask, tile.b, h, i, keys.first) if n0 + n < tile.lanes else 0
            h, i = query_after(call.sizes, h, i)
        for j in range(0, count, BITS):
            bits = min(BITS, count - j)
            for n in range(lanes):
                words[n] = bits_at(rows[n] + j * step, step, bits) if rows[n] else np.uint32(0)
            _mask_rows(s.ctypes.data + (j * width + n0) * s.itemsize, width, bits, words.ctypes.data, call.kind)
