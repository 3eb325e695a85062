"""Which keys a tile's queries may see."""

from typing import NamedTuple

import numpy as np

from ..layout.operands import address_of, query_of
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
def visible(sizes, lane, lanes, begin, end, first, last):
    """The band of so many lanes among the keys [begin, end), in these arrays. Lanes beyond the last do as the last does."""
    if sizes.q_len - 1 + sizes.low <= begin < end <= sizes.high + 1:  # No band, or one that takes in all.
        first[:], last[:] = begin, end
        return Band(first, last, begin, begin, end, end)
    first_least, first_most, last_least, last_most = end, begin, end, begin
    i = lane % sizes.q_len
    for n in range(first.size):
        start, stop = max(begin, i + sizes.low), min(end, i + sizes.high + 1)
        first[n], last[n] = start, stop
        if start < stop:
            first_least, first_most = min(first_least, start), max(first_most, start)
            last_least, last_most = min(last_least, stop), max(last_most, stop)
        else:  # It sees nothing, so there is no block that every lane sees.
            first_most, last_least = end, begin
        if n + 1 < lanes:
            i = i + 1 if i + 1 < sizes.q_len else 0
    return Band(first, last, first_least, first_most, last_least, last_most)


@deferred_codegen
def same_for_all_queries(operands):
    """Whether the mask is one row of keys for each batch element, as padding is."""
    return operands.mask.by_row == 0 and operands.mask.by_head == 0


@deferred_codegen
def without_padding(operands, sizes, b):
    """[first, last) of the keys that a mask of one row leaves, so that what lies outside costs nothing."""
    begin, end = np.int64(0), sizes.kv_len
    if operands.mask.address and same_for_all_queries(operands):
        address, step = address_of(operands.mask, b, 0, 0, 0), operands.mask.by_column
        while end > begin and load_byte(address + (end - 1) * step) == 0:
            end -= 1
        while begin < end and load_byte(address + begin * step) == 0:
            begin += 1
    return begin, end


@deferred_codegen
def seen_through_mask(operands, sizes, tile, k0, keys):
    """Whether the mask lets a tile's queries see (any, all) of the keys. Only contiguous rows are looked at."""
    if operands.mask.address == 0:
        return True, True
    if operands.mask.by_column != 1:
        return True, False
    some, every = False, True
    for n in range(1 if same_for_all_queries(operands) else tile.lanes):
        h, i = query_of(sizes, tile.kv, tile.lane + n)
        address = address_of(operands.mask, tile.b, h, i, k0)
        words = view(address, keys // 8, np.int64(0))
        either, both = np.int64(0), np.int64(EIGHT_TRUE)
        for j in range(words.size):
            either |= words[j]
            both &= words[j]
        for j in range(words.size * 8, keys):
            seen = load_byte(address + j) != 0
            some, every = some or seen, every and seen
        some, every = some or either != 0, every and both == EIGHT_TRUE
        if some and not every:
            break
    return some, every
