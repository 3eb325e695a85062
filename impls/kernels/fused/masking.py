"""Which keys a tile's queries may see, and what that does to a tile of scores."""

import numpy as np

from impls.kernels.fused.memory import as_kind, load_byte, read
from impls.kernels.fused.operands import (
    ADDRESS,
    BIAS,
    BY_COLUMN,
    BY_HEAD,
    BY_ROW,
    HIGH,
    KV_LEN,
    LOW,
    MASK,
    Q_LEN,
    STORAGE,
    address_of,
    query_of,
)
from impls.kernels.fused.simd import internal


@internal
def visible(sizes, lane, lanes, width, begin, end, first, last):
    """Each lane's keys among [begin, end) into the two arrays, as [first, last).

    Returns (least first, greatest first, least last, greatest last): outside the outer two no lane sees a key, within the
    inner two every lane sees all of them. Lanes beyond the last do as the last does.
    """
    if sizes[Q_LEN] - 1 + sizes[LOW] <= begin < end <= sizes[HIGH] + 1:  # No band, or one that takes in all.
        first[:width], last[:width] = begin, end
        return begin, begin, end, end
    first_least, first_most, last_least, last_most = end, begin, end, begin
    for n in range(width):
        i = (lane + min(n, lanes - 1)) % sizes[Q_LEN]
        start, stop = max(begin, i + sizes[LOW]), min(end, i + sizes[HIGH] + 1)
        first[n], last[n] = start, stop
        if start < stop:
            first_least, first_most = min(first_least, start), max(first_most, start)
            last_least, last_most = min(last_least, stop), max(last_most, stop)
        else:  # It sees nothing, so there is no block that every lane sees.
            first_most, last_least = end, begin
    return first_least, first_most, last_least, last_most


@internal
def same_for_all_queries(operands):
    """Whether the mask is one row of keys for each batch element, as padding is."""
    return operands[MASK, BY_ROW] == 0 and operands[MASK, BY_HEAD] == 0


@internal
def without_padding(operands, sizes, b):
    """[first, last) of the keys that a mask of one row leaves, so that what lies outside costs nothing."""
    begin, end = np.int64(0), sizes[KV_LEN]
    if operands[MASK, ADDRESS] and same_for_all_queries(operands):
        address, step = address_of(operands, MASK, b, 0, 0, 0), operands[MASK, BY_COLUMN]
        while end > begin and load_byte(address + (end - 1) * step) == 0:
            end -= 1
        while begin < end and load_byte(address + begin * step) == 0:
            begin += 1
    return begin, end


@internal
def adjust(operands, sizes, b, kv, lane, lanes, width, k0, keys, rows, first, last, banded, s):
    """Bias, mask and band on a tile of scores (rows, width), of which `keys` rows are keys from k0 on.

    Rows beyond the keys become -inf.
    """
    if operands[BIAS, ADDRESS]:
        _add_bias(operands, sizes, b, kv, lane, lanes, width, k0, keys, s)
    if operands[MASK, ADDRESS]:
        _apply_mask(operands, sizes, b, kv, lane, lanes, width, k0, keys, s)
    nothing = as_kind(-np.inf, s[0])
    if banded:
        for j in range(keys):
            key = np.int32(k0 + j)
            row = s[j * width : (j + 1) * width]
            for n in range(width):
                row[n] = row[n] if first[n] <= key and key < last[n] else nothing
    s[keys * width : rows * width] = nothing


@internal
def _add_bias(operands, sizes, b, kv, lane, lanes, width, k0, keys, s):
    storage, step = sizes[STORAGE], operands[BIAS, BY_COLUMN]
    for n in range(lanes):
        h, i = query_of(sizes, kv, lane + n)
        address = address_of(operands, BIAS, b, h, i, k0)
        for j in range(keys):
            s[j * width + n] += read(address + j * step, storage, s[0])


@internal
def _apply_mask(operands, sizes, b, kv, lane, lanes, width, k0, keys, s):
    nothing = as_kind(-np.inf, s[0])
    step = operands[MASK, BY_COLUMN]
    if same_for_all_queries(operands):
        address = address_of(operands, MASK, b, 0, 0, k0)
        for j in range(keys):
            if load_byte(address + j * step) == 0:
                s[j * width : (j + 1) * width] = nothing
        return
    for n in range(lanes):
        h, i = query_of(sizes, kv, lane + n)
        address = address_of(operands, MASK, b, h, i, k0)
        for j in range(keys):
            if load_byte(address + j * step) == 0:
                s[j * width + n] = nothing


@internal
def adjust_row(operands, sizes, b, kv, lane, k0, first, last, s):
    """Bias, mask and band on one query's scores for the keys from k0 on; it may see the keys [first, last)."""
    h, i = query_of(sizes, kv, lane)
    nothing, storage = as_kind(-np.inf, s[0]), sizes[STORAGE]
    if operands[BIAS, ADDRESS]:
        address, step = address_of(operands, BIAS, b, h, i, k0), operands[BIAS, BY_COLUMN]
        for j in range(s.size):
            s[j] += read(address + j * step, storage, s[0])
    if operands[MASK, ADDRESS]:
        address, step = address_of(operands, MASK, b, h, i, k0), operands[MASK, BY_COLUMN]
        for j in range(s.size):
            if load_byte(address + j * step) == 0:
                s[j] = nothing
    s[: min(max(first - k0, 0), s.size)] = nothing
    s[min(max(last - k0, 0), s.size) :] = nothing
