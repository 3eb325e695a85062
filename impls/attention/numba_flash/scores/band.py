"""The keys that a tile's queries may see."""

from typing import NamedTuple

import numpy as np

from ..layout.operands import Span, address_of, query_of
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import load_byte, view

EIGHT_TRUE = 0x0101010101010101
"""Eight booleans of a mask that are all true, as one number."""


class Band(NamedTuple):
    """The keys that lanes see, [first, last) of each.

    Outside `first_least` and `last_most` no lane sees a key, from `first_most` to `last_least` every lane sees all of them.
    """

    first: np.ndarray
    last: np.ndarray
    first_least: int
    first_most: int
    last_least: int
    last_most: int


@deferred_codegen
def visible(sizes, lanes, keys, first, last):
    """The band of some lanes among some keys (each a `Span`), in these arrays. Lanes beyond the last do as the last does."""
    begin, end = keys.first, keys.last
    if sizes.q_len - 1 + sizes.low <= begin < end <= sizes.high + 1:  # No band, or one that takes in all.
        first[:], last[:] = begin, end
        return Band(first, last, begin, begin, end, end)
    first_least, first_most, last_least, last_most = end, begin, end, begin
    i = lanes.first % sizes.q_len
    for n in range(first.size):
        start, stop = max(begin, i + sizes.low), min(end, i + sizes.high + 1)
        first[n], last[n] = start, stop
        if start < stop:
            first_least, first_most = min(first_least, start), max(first_most, start)
            last_least, last_most = min(last_least, stop), max(last_most, stop)
        else:  # This lane sees nothing, so there is no block of keys that every lane sees.
            first_most, last_least = end, begin
        if lanes.first + n + 1 < lanes.last:
            i = i + 1 if i + 1 < sizes.q_len else 0
    return Band(first, last, first_least, first_most, last_least, last_most)


@deferred_codegen
def same_for_all_queries(mask):
    """Whether the mask is one row of keys for each batch element, as padding is."""
    return mask.by_row == 0 and mask.by_head == 0


@deferred_codegen
def without_padding(call, b):
    """The keys that a mask of one row leaves: what lies outside costs nothing."""
    mask, begin, end = call.operands.mask, np.int64(0), call.sizes.kv_len
    if mask.address and same_for_all_queries(mask):
        address, step = address_of(mask, b, 0, 0, 0), mask.by_column
        while end > begin and load_byte(address + (end - 1) * step) == 0:
            end -= 1
        while begin < end and load_byte(address + begin * step) == 0:
            begin += 1
    return Span(begin, end)


@deferred_codegen
def seen_in_row(address, count):
    """Whether (any, all) of a row of booleans at an address are true."""
    words = view(address, count // 8, np.int64(0))
    either, both = np.int64(0), np.int64(EIGHT_TRUE)
    for j in range(words.size):
        either |= words[j]
        both &= words[j]
    some, every = either != 0, both == EIGHT_TRUE
    for j in range(words.size * 8, count):
        seen = load_byte(address + j) != 0
        some, every = some or seen, every and seen
    return some, every


@deferred_codegen
def seen_through_mask(call, tile, keys):
    """Whether the mask lets a tile's queries see (any, all) of the keys. Only contiguous rows are examined."""
    mask = call.operands.mask
    if mask.address == 0:
        return True, True
    if mask.by_column != 1:
        return True, False
    some, every = False, True
    for n in range(1 if same_for_all_queries(mask) else tile.lanes):
        h, i = query_of(call.sizes, tile.kv, tile.lane + n)
        some_of_row, every_of_row = seen_in_row(address_of(mask, tile.b, h, i, keys.first), keys.last - keys.first)
        some, every = some or some_of_row, every and every_of_row
        if some and not every:
            break
    return some, every
