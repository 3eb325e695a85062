"""The matrix products of a tile, out of micro-kernels: operands of any layout on one side, whole vectors on the other.

Keys and values are read where they lie. Where a micro-kernel would read beyond them, or they are in a half type that it
cannot multiply, the block is copied first. Half types that it can are in `bf16_gemm.py`.
"""

from ..layout.operands import address_of
from ..layout.packing import copy_block, round_up
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import size_of
from ..simd.microkernel import MAX_VECTORS, ROWS, product, product_two_sums
from ..simd.stored import NATIVE, lanes_of
from .bf16_gemm import gemm_output_bf16, gemm_scores_bf16


@deferred_codegen
def gemm_scores(operands, operand, sizes, tile, k0, keys, depth, right, copied, out, stored):
    """out[j, n] = Σ_d x[k0 + j, d] right[d, n] for j < keys, and rows of zeros up to whole micro-kernels.

    x is the keys or the values; `copied` is scratch. Unless `stored` is None, `right` is of pairs: [d/2, n].
    """
    if stored is not None:
        gemm_scores_bf16(operands, operand, sizes, tile, k0, keys, depth, right, copied, out, stored)
        return
    b, kv, vectors = tile.b, tile.kv, tile.vectors
    kind, size, width = out[0], out.itemsize, vectors * lanes_of(out[0])
    rows, direct = round_up(keys, ROWS), keys // ROWS * ROWS if sizes.storage == NATIVE else 0
    row, column = operand.by_row // size, operand.by_column // size
    for r in range(0, direct, ROWS):
        a, c = address_of(operand, b, kv, k0 + r, 0), out.ctypes.data + r * width * size
        product_two_sums(vectors, depth, a, row, column, right.ctypes.data, width, c, width, False, kind, None)
    if direct < rows:
        copy_block(operands, operand, sizes, b, kv, k0 + direct, keys - direct, 0, depth, copied, rows - direct, depth)
        for r in range(direct, rows, ROWS):
            a, c = copied.ctypes.data + (r - direct) * depth * size, out.ctypes.data + r * width * size
            product_two_sums(vectors, depth, a, depth, 1, right.ctypes.data, width, c, width, False, kind, None)


@deferred_codegen
def gemm_output(operands, operand, sizes, tile, k0, keys, columns, s, copied, transposed_address, out, add, stored):
    """out[c, n] = Σ_j x[k0 + j, c] s[j, n], or += that if `add`. x is the keys or the values; `copied` is scratch.

    Columns up to whole micro-kernels become zeros. Unless `stored` is None, s is of pairs: [j/2, n], and
    `transposed_address`, unless it is zero, is where x is transposed for AMX.
    """
    if stored is not None:
        gemm_output_bf16(operands, operand, sizes, tile, k0, keys, columns, s, copied, transposed_address, out, add, stored)
        return
    b, kv, vectors = tile.b, tile.kv, tile.vectors
    kind, size, width = s[0], s.itemsize, vectors * lanes_of(s[0])
    direct = columns // ROWS * ROWS if sizes.storage == NATIVE else 0
    row, column = operand.by_row // size, operand.by_column // size
    for c in range(0, direct, ROWS):
        a, o = address_of(operand, b, kv, k0, c), out.ctypes.data + c * width * size
        product(vectors, keys, a, column, row, s.ctypes.data, width, o, width, add, kind, None)
    if direct < columns:
        padded = round_up(columns, ROWS) - direct
        copy_block(operands, operand, sizes, b, kv, k0, keys, direct, columns - direct, copied, keys, padded)
        for c in range(0, padded, ROWS):
            a, o = copied.ctypes.data + c * size, out.ctypes.data + (direct + c) * width * size
            product(vectors, keys, a, 1, padded, s.ctypes.data, width, o, width, add, kind, None)


@deferred_codegen
def gemm_gradients(s, rows, width, right, columns, out, out_row, kind, stored):
    """out[j, c] += Σ_n s[j, n] right[n, c]. s is (rows, width), right (width, columns), columns whole vectors.

    Addresses; the rows of `out` are `out_row` elements apart. Unless `stored` is None, s is of half precision, and `right`
    of pairs: [n/2, c].
    """
    unit, size = lanes_of(kind), size_of(kind)
    vectors = columns // unit
    parts = (vectors + MAX_VECTORS - 1) // MAX_VECTORS
    depth, a_step, a_size = (width // 2, 2, 2) if stored is not None else (width, 1, size)
    for p in range(parts):
        first, last = vectors * p // parts, vectors * (p + 1) // parts
        b = right + first * unit * size
        for r in range(0, rows, ROWS):
            a, c = s + r * width * a_size, out + (r * out_row + first * unit) * size
            product(last - first, depth, a, width, a_step, b, columns, c, out_row, True, kind, stored)
