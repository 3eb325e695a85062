"""Prefetching of bias and mask while the scores are computed that they will be applied to."""

from ..layout.operands import address_of, query_of
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.llvm import CACHE_LINE
from ..runtime.memory import prefetch


@deferred_codegen
def is_scattered(operand, size, keys):
    """Whether a tile's rows of an operand lie apart, so that the processor does not predict where the next one begins.

    `size` is that of an element in bytes.
    """
    return operand.address != 0 and operand.by_column == size and operand.by_row > (keys.last - keys.first) * size


@deferred_codegen
def prefetch_lanes(call, operand, size, tile, lanes, keys):
    """Prefetch an operand's elements for some lanes of a tile and some keys (each a `Span`)."""
    for n in range(lanes.first, lanes.last):
        h, i = query_of(call.sizes, tile.kv, tile.lane + n)
        address = address_of(operand, tile.b, h, i, keys.first)
        for at in range(0, (keys.last - keys.first) * size, CACHE_LINE):
            prefetch(address + at)
