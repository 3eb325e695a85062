"""Prefetching of bias and mask."""

from ..layout.operands import address_of, query_of
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import CACHE_LINE
from ..runtime.memory import prefetch


@deferred_codegen
def is_scattered(operand, size, keys):
    """Whether a tile's rows of bias or mask lie apart, so that the processor does not foresee where the next one begins."""
    return operand.address != 0 and operand.by_column == size and operand.by_row > keys * size


@deferred_codegen
def prefetch_lanes(operand, size, sizes, tile, first, last, k0, keys):
    """Prefetch bias or mask for lanes [first, last) of a tile."""
    for n in range(first, last):
        h, i = query_of(sizes, tile.kv, tile.lane + n)
        address = address_of(operand, tile.b, h, i, k0)
        for at in range(0, keys * size, CACHE_LINE):
            prefetch(address + at)
