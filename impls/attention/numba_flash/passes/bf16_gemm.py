"""The products of `gemm.py` for bfloat16 numbers as they lie: in pairs, or with AMX in tiles of them."""

from ..layout.bf16_packing import copy_bf16_block, interleave_block
from ..layout.operands import Block, address_of
from ..layout.packing import round_up
from ..layout.transposed_values import transposed_values
from ..runtime.deferred_codegen import deferred_codegen
from ..simd.amx import AMX, DEPTH, SIDE, amx_gemm
from ..simd.matrices import Form, Rows, Strided, Target
from ..simd.microkernel import ROWS, product
from ..simd.vectors import lanes_of


@deferred_codegen
def gemm_scores_bf16(call, keys, queries, out, copied, stored):
    """`gemm.gemm_scores` of pairs."""
    operand, b, h, depth, vectors = keys.operand, keys.b, keys.h, keys.columns, queries.vectors
    rows, pairs, width = round_up(keys.rows, ROWS), (depth + 1) // 2, vectors * lanes_of(call.kind)
    row_size, form = width * 4, Form(call.kind, stored)
    in_pairs = operand.by_column == 2 and depth % 2 == 0
    done = 0
    if AMX:
        done = keys.rows // SIDE * SIDE if in_pairs and depth % DEPTH == 0 else 0
        for r in range(0, done, SIDE):
            left = Rows(address_of(operand, b, h, keys.row + r, 0), operand.by_row)
            target = Target(out.ctypes.data + r * row_size, row_size, False)
            amx_gemm(vectors, depth // DEPTH, left, Rows(queries.x.ctypes.data, row_size), target)
    direct = keys.rows // ROWS * ROWS if in_pairs else 0
    right = Rows(queries.x.ctypes.data, width)
    for r in range(done, direct, ROWS):
        left = Strided(address_of(operand, b, h, keys.row + r, 0), operand.by_row // 2, 2)
        product(vectors, pairs, left, right, Target(out.ctypes.data + r * row_size, width, False), form)
    if direct < rows:
        rest = Block(operand, b, h, keys.row + direct, keys.rows - direct, 0, depth)
        copy_bf16_block(rest, copied.ctypes.data, rows - direct)
        for r in range(direct, rows, ROWS):
            left = Strided(copied.ctypes.data + (r - direct) * pairs * 4, pairs * 2, 2)
            product(vectors, pairs, left, right, Target(out.ctypes.data + r * row_size, width, False), form)


@deferred_codegen
def gemm_output_bf16(call, values, weights, out, copies, stored):
    """`gemm.gemm_output` of pairs."""
    operand, b, h, columns, vectors = values.operand, values.b, values.h, values.columns, weights.vectors
    width, row_size, copied = vectors * lanes_of(call.kind), vectors * lanes_of(call.kind) * 4, copies.x.ctypes.data
    done = values.rows // DEPTH * DEPTH if AMX and copies.transposed else 0
    if AMX and done > 0:
        row = call.sizes.transposed_row
        address = transposed_values(call, Block(operand, b, h, values.row, done, 0, columns), copied, copies.transposed)
        for c in range(0, columns, SIDE):
            target = Target(out.x.ctypes.data + c * row_size, row_size, out.add)
            amx_gemm(vectors, done // DEPTH, Rows(address + c * row, row), Rows(weights.x.ctypes.data, row_size), target)
    if done < values.rows:
        rest, padded = Block(operand, b, h, values.row + done, values.rows - done, 0, columns), round_up(columns, ROWS)
        interleave_block(rest, copied, padded)
        right, add = Rows(weights.x.ctypes.data + done // 2 * row_size, width), out.add or done > 0
        for c in range(0, padded, ROWS):
            target = Target(out.x.ctypes.data + c * row_size, width, add)
            left = Strided(copied + c * 4, 2, padded * 2)
            product(vectors, (rest.rows + 1) // 2, left, right, target, Form(call.kind, stored))
