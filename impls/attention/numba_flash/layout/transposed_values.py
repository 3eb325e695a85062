"""Values transposed for AMX, once for all tiles of queries of a chunk."""

import numpy as np

from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import CACHE_LINE
from ..runtime.memory import view
from ..simd.amx import DEPTH, SIDE
from ..simd.transpose import transpose_bf16_block
from .bf16_packing import copy_bf16_rows
from .operands import address_of


@deferred_codegen
def reset_transposed_values(address, k0):
    """From now on `address`, unless it is zero, is for the values of the keys from k0 on."""
    if address:
        view(address, 2, k0)[:] = k0


@deferred_codegen
def transposed_values(operands, operand, sizes, b, kv, k0, keys, columns, copied, address):
    """The address of the values of `keys` keys, from k0 on, transposed: [c, j], rows `sizes.transposed_row` bytes apart.

    Before them, at `address`: the first key that they are for, and the end of the keys transposed so far, in blocks of 32.
    `copied` is the address of scratch for a block. `columns` is a multiple of 16.
    """
    state, rows, apart = view(address, 2, k0), address + CACHE_LINE, sizes.transposed_row
    while state[1] < k0 + keys:
        j = state[1]
        source, row = address_of(operand, b, kv, j, 0), operand.by_row
        if operand.by_column != 2 or j + DEPTH > sizes.kv_len:
            count = min(DEPTH, sizes.kv_len - j)
            copy_bf16_rows(operands, operand, sizes, b, kv, j, count, columns, copied, np.int64(DEPTH))
            source, row = copied, np.int64(columns * 2)
        for c in range(0, columns, SIDE):
            transpose_bf16_block(source + c * 2, row, rows + c * apart + (j - state[0]) * 2, apart)
        state[1] += DEPTH
    return rows + (k0 - state[0]) * 2
