"""Reading memory in whole vectors, as fast as the processor can.

The numbers that are read are multiplied with each other and added up, so that no load may be left out. A multiply-add
takes two vectors: with an addition for each vector the adders would be as busy as the loads, and slow them down (on Emerald
Rapids to 104 of 128 bytes a cycle).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from harness.frameworks.microbenchmarks.vectors import add_lanes, add_product, vector_bytes

_INTP, _DOUBLE = ir.IntType(64), ir.DoubleType()

BLOCK_BYTES = 1024
"""Bytes that a step of the loop reads."""

PRODUCTS = BLOCK_BYTES // 16
"""Products of two numbers in a block."""

_SUMS = 8
"""Vectors of sums: 4 or 5 cycles of a multiply-add, 1 or 1.5 of which start a cycle."""


@numba.njit(nogil=True, cache=True)
def read(numbers: np.ndarray, blocks: int) -> float:
    """Read `blocks` blocks one after the other, from the beginning again after the last. Releases the interpreter's lock.

    `numbers` is a contiguous array of float64 numbers, of whole blocks, which begins at a multiple of 64 bytes. Returns the
    sum of products of each vector of an even number with the next; `blocks * PRODUCTS` if all numbers are 1.
    """
    return _read(numbers.ctypes.data, numbers.size, blocks)


@intrinsic
def _read(typing: Any, address: Any, size: Any, blocks: Any) -> Any:
    """`read` of `size` numbers at an address."""
    lanes = vector_bytes() // 8
    vector, step = ir.VectorType(_DOUBLE, lanes), BLOCK_BYTES // 8

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, size, blocks = arguments
        sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * lanes)) for _ in range(_SUMS)]
        position = cgutils.alloca_once_value(builder, _INTP(0))
        numbers = builder.inttoptr(address, _DOUBLE.as_pointer())

        def load(index: Any) -> Any:
            return builder.load(builder.bitcast(builder.gep(numbers, [index]), vector.as_pointer()), align=8)

        with cgutils.for_range(builder, blocks):
            at = builder.load(position)
            for n in range(step // lanes // 2):
                first, second = (load(builder.add(at, _INTP((2 * n + which) * lanes))) for which in (0, 1))
                one = sums[n % _SUMS]
                builder.store(add_product(builder, first, second, builder.load(one)), one)
            # No loop over a pass: leaving it would cost a mispredicted branch for each pass over a small array.
            after = builder.add(at, _INTP(step))
            builder.store(builder.select(builder.icmp_signed("==", after, size), _INTP(0), after), position)
        return add_lanes(builder, [builder.load(one) for one in sums])

    return types.float64(types.intp, types.intp, types.intp), generate
