"""Values transposed for AMX, once for all tiles of queries that go through a chunk of keys."""

import numpy as np

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import CACHE_LINE
from ..runtime.memory import view
from ..simd.amx import DEPTH, SIDE
from ..simd.matrices import Rows
from ..simd.transpose import transpose_for_amx
from .bf16_packing import copy_bf16_block
from .operands import Block, address_of


@deferred_codegen
def reset_transposed_values(address, k0):
    """Begin anew, with the values of the keys from k0 on. `address` is that of the transposed values, or zero."""
    if address:
        view(address, 2, k0)[:] = k0


@deferred_codegen
def transposed_values(call, values, copied, address):
    """The address of a block of whole rows, transposed: [c, j], rows `sizes.transposed_row` bytes apart.

    At `address` lie the first of the keys whose values are transposed and the end of them so far, then the values, in blocks
    of 32 keys. `copied` is the address of scratch for a block. The number of columns is a multiple of 16.
    """
    state, rows, row = view(address, 2, values.row), address + CACHE_LINE, call.sizes.transposed_row
    operand, b, h, columns = values.operand, values.b, values.h, values.columns
    while state[1] < values.row + values.rows:
        j = state[1]
        source = Rows(address_of(operand, b, h, j, 0), operand.by_row)
        if operand.by_column != 2 or j + DEPTH > call.sizes.kv_len:
            copy_bf16_block(Block(operand, b, h, j, min(DEPTH, call.sizes.kv_len - j), 0, columns), copied, DEPTH)
            source = Rows(np.int64(copied), columns * 2)
        for c in range(0, columns, SIDE):
            out = Rows(rows + c * row + (j - state[0]) * 2, row)
            transpose_for_amx(Rows(source.address + c * 2, source.row), out)
        state[1] += DEPTH
    return rows + (values.row - state[0]) * 2
