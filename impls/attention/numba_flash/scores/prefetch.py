"""Prefetching of bias and mask."""

from ..layout.operands import address_of, query_of
from ..layout.sizes import STORAGE
from ..runtime.call import ADDRESS, BY_COLUMN, BY_ROW, MASK
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import LINE
from ..runtime.memory import prefetch
from ..simd.stored import bytes_of


@deferred_codegen
def is_scattered(operands, operand, sizes, keys, kind):
    """Whether a tile's rows of bias or mask lie apart, so that the processor does not foresee where the next one begins."""
    size = 1 if operand == MASK else bytes_of(sizes[STORAGE], kind)
    return (
        operands[operand, ADDRESS] != 0 and operands[operand, BY_COLUMN] == size and operands[operand, BY_ROW] > keys * size
    )


@deferred_codegen
def prefetch_lanes(operands, operand, sizes, tile, first, last, k0, keys, kind):
    """Prefetch bias or mask for lanes [first, last) of a tile."""
    size = 1 if operand == MASK else bytes_of(sizes[STORAGE], kind)
    for n in range(first, last):
        h, i = query_of(sizes, tile.kv, tile.lane + n)
        address = address_of(operands, operand, tile.b, h, i, k0)
        for at in range(0, keys * size, LINE):
            prefetch(address + at)
