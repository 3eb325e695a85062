"""The products of `gemm.py`, of bfloat16 numbers as they are: in tiles where the processor has them, or in pairs."""

from ..layout.bf16_packing import copy_bf16_rows, interleave_rows
from ..layout.operands import address_of
from ..layout.packing import round_up
from ..layout.transposed_values import transposed_values
from ..runtime.deferred_codegen import deferred_codegen
from ..simd.amx import AMX, DEPTH, SIDE, amx_gemm
from ..simd.microkernel import ROWS, product
from ..simd.stored import lanes_of


@deferred_codegen
def gemm_scores_bf16(operands, operand, sizes, tile, k0, keys, depth, right, copied, out, stored):
    """`gemm.gemm_scores` of pairs."""
    b, kv, vectors, kind = tile.b, tile.kv, tile.vectors, out[0]
    rows, pairs, width = round_up(keys, ROWS), (depth + 1) // 2, vectors * lanes_of(kind)
    row_size = width * 4
    by_row, of_pairs = operand.by_row, operand.by_column == 2 and depth % 2 == 0
    done = 0
    if AMX:
        done = keys // SIDE * SIDE if of_pairs and depth % DEPTH == 0 else 0
        for r in range(0, done, SIDE):
            a, c = address_of(operand, b, kv, k0 + r, 0), out.ctypes.data + r * row_size
            amx_gemm(vectors, depth // DEPTH, a, by_row, right.ctypes.data, row_size, c, row_size, False)
    direct = keys // ROWS * ROWS if of_pairs else 0
    for r in range(done, direct, ROWS):
        a, c = address_of(operand, b, kv, k0 + r, 0), out.ctypes.data + r * row_size
        product(vectors, pairs, a, by_row // 2, 2, right.ctypes.data, width, c, width, False, kind, stored)
    if direct < rows:
        copy_bf16_rows(operands, operand, sizes, b, kv, k0 + direct, keys - direct, depth, copied.ctypes.data, rows - direct)
        for r in range(direct, rows, ROWS):
            a, c = copied.ctypes.data + (r - direct) * pairs * 4, out.ctypes.data + r * row_size
            product(vectors, pairs, a, pairs * 2, 2, right.ctypes.data, width, c, width, False, kind, stored)


@deferred_codegen
def gemm_output_bf16(operands, operand, sizes, tile, k0, keys, columns, s, copied, transposed_address, out, add, stored):
    """`gemm.gemm_output` of pairs."""
    b, kv, vectors, kind = tile.b, tile.kv, tile.vectors, s[0]
    width, row_size = vectors * lanes_of(kind), vectors * lanes_of(kind) * 4
    done = keys // DEPTH * DEPTH if AMX and transposed_address else 0
    if AMX and done > 0:
        a, apart = (
            transposed_values(operands, operand, sizes, b, kv, k0, done, columns, copied.ctypes.data, transposed_address),
            sizes.transposed_row,
        )
        for c in range(0, columns, SIDE):
            o = out.ctypes.data + c * row_size
            amx_gemm(vectors, done // DEPTH, a + c * apart, apart, s.ctypes.data, row_size, o, row_size, add)
    if done < keys:
        left, right, padded = keys - done, s.ctypes.data + done // 2 * row_size, round_up(columns, ROWS)
        interleave_rows(operands, operand, sizes, b, kv, k0 + done, left, columns, copied.ctypes.data, padded, kind)
        more = add or done > 0
        for c in range(0, padded, ROWS):
            a, o = copied.ctypes.data + c * 4, out.ctypes.data + c * row_size
            product(vectors, (left + 1) // 2, a, 2, padded * 2, right, width, o, width, more, kind, stored)
