"""The matrix products of a tile, out of micro-kernels: operands of any layout on one side, whole vectors on the other.

Keys and values are read where they lie. Where a micro-kernel would read beyond them, or they are in a half-precision format
that it cannot multiply, the block is copied first. Products in bfloat16 are in `bf16_gemm.py`.
"""

from typing import NamedTuple

import numpy as np

from ..layout.operands import Block, address_of
from ..layout.packing import copy_block, round_up
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import size_of
from ..simd.matrices import Form, Rows, Strided, Target
from ..simd.microkernel import MAX_VECTORS, ROWS, product, product_two_sums
from ..simd.stored import NATIVE
from ..simd.vectors import lanes_of
from .bf16_gemm import gemm_output_bf16, gemm_scores_bf16


class Panel(NamedTuple):
    """Numbers with whole vectors as rows, one for each lane of a tile. In bfloat16 an element is a pair of two rows."""

    x: np.ndarray
    vectors: int


class RowPanel(NamedTuple):
    """Weights, or gradients of scores, (rows, width), contiguous; read one element at a time."""

    address: int
    rows: int
    width: int


class Sum(NamedTuple):
    """Where a product goes: added to an array, or in place of what it holds."""

    x: np.ndarray
    add: bool


class Copies(NamedTuple):
    """Room for a block of keys or values that cannot be read where it lies."""

    x: np.ndarray
    transposed: int
    """The address of values transposed for AMX (`layout.transposed_values`), or zero."""


@deferred_codegen
def gemm_scores(call, keys, queries, out, copied, stored):
    """out[j, n] = Σ_d x[j, d] queries[d, n] for a block x of whole rows of keys or values.

    Rows of zeros follow up to whole micro-kernels. `queries` is a `Panel`, of pairs unless `stored` is None; `copied` is
    room for a copy of the block.
    """
    if stored is not None:
        gemm_scores_bf16(call, keys, queries, out, copied, stored)
        return
    operand, depth, size, width = keys.operand, keys.columns, out.itemsize, queries.vectors * lanes_of(call.kind)
    rows, direct = round_up(keys.rows, ROWS), keys.rows // ROWS * ROWS if call.sizes.storage == NATIVE else 0
    right, form = Rows(queries.x.ctypes.data, width), Form(call.kind, None)
    for r in range(0, direct, ROWS):
        address = address_of(operand, keys.b, keys.h, keys.row + r, 0)
        left = Strided(address, operand.by_row // size, operand.by_column // size)
        product_two_sums(queries.vectors, depth, left, right, Target(out.ctypes.data + r * width * size, width, False), form)
    if direct < rows:
        rest = Block(operand, keys.b, keys.h, keys.row + direct, keys.rows - direct, 0, depth)
        copy_block(call, rest, copied, rows - direct, depth)
        for r in range(direct, rows, ROWS):
            left, c = Strided(copied.ctypes.data + (r - direct) * depth * size, depth, 1), out.ctypes.data + r * width * size
            product_two_sums(queries.vectors, depth, left, right, Target(c, width, False), form)


@deferred_codegen
def gemm_output(call, values, weights, out, copies, stored):
    """out[c, n] (+)= Σ_j x[j, c] weights[j, n] for a block x of whole rows of keys or values; `out` is a `Sum`.

    Columns of zeros follow up to whole micro-kernels. `weights` is a `Panel`, of pairs unless `stored` is None.
    """
    if stored is not None:
        gemm_output_bf16(call, values, weights, out, copies, stored)
        return
    operand, keys, columns, vectors = values.operand, values.rows, values.columns, weights.vectors
    size, width, copied = out.x.itemsize, vectors * lanes_of(call.kind), copies.x
    direct = columns // ROWS * ROWS if call.sizes.storage == NATIVE else 0
    right, form = Rows(weights.x.ctypes.data, width), Form(call.kind, None)
    for c in range(0, direct, ROWS):
        address = address_of(operand, values.b, values.h, values.row, c)
        left = Strided(address, operand.by_column // size, operand.by_row // size)
        product(vectors, keys, left, right, Target(out.x.ctypes.data + c * width * size, width, out.add), form)
    if direct < columns:
        padded = round_up(columns, ROWS) - direct
        rest = Block(operand, values.b, values.h, values.row, keys, direct, columns - direct)
        copy_block(call, rest, copied, keys, padded)
        for c in range(0, padded, ROWS):
            left, o = Strided(copied.ctypes.data + c * size, 1, padded), out.x.ctypes.data + (direct + c) * width * size
            product(vectors, keys, left, right, Target(o, width, out.add), form)


@deferred_codegen
def gemm_gradients(call, s, right, out, columns, stored):
    """out[j, c] += Σ_n s[j, n] right[n, c]: s is (keys, lanes), right (lanes, columns), columns whole vectors.

    s is a `RowPanel`, the others are addresses. Unless `stored` is None, s is of bfloat16 numbers, and `right` of pairs.
    """
    lanes, size = lanes_of(call.kind), size_of(call.kind)
    vectors = columns // lanes
    parts = (vectors + MAX_VECTORS - 1) // MAX_VECTORS
    depth, step, s_size = (s.width // 2, 2, 2) if stored is not None else (s.width, 1, size)
    for p in range(parts):
        first, last = vectors * p // parts, vectors * (p + 1) // parts
        b = Rows(right + first * lanes * size, columns)
        for r in range(0, s.rows, ROWS):
            a = Strided(s.address + r * s.width * s_size, s.width, step)
            c = Target(out + (r * columns + first * lanes) * size, columns, True)
            product(last - first, depth, a, b, c, Form(call.kind, stored))
