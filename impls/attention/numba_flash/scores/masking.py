"""Bias, mask and band on scores: of a tile, or of one query."""

import numpy as np

from ..layout.operands import address_of, query_of
from ..layout.packing import round_up
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import as_kind, load_byte
from ..simd.microkernel import ROWS
from ..simd.stored import load_stored
from ..simd.vectors import lanes_of
from .bias import add_bias
from .boolean_mask import apply_mask


@deferred_codegen
def apply_bias_and_masks(call, tile, keys, band, masked, buffers):
    """Apply bias, mask (if `masked`) and band to a tile's scores for some keys; rows beyond the keys become -inf."""
    s, k0, count, nothing = buffers.s, keys.first, keys.last - keys.first, as_kind(-np.inf, call.kind)
    width = tile.vectors * lanes_of(call.kind)
    if call.operands.bias.address:
        add_bias(call, tile, keys, s, buffers.scratch)
    if masked:
        apply_mask(call, tile, keys, s, buffers.scratch)
    if band.first_most > k0 or band.last_least < k0 + count:
        for j in range(count):
            key = np.int32(k0 + j)
            row = s[j * width : (j + 1) * width]
            for n in range(width):
                row[n] = row[n] if band.first[n] <= key and key < band.last[n] else nothing
    s[count * width : round_up(count, ROWS) * width] = nothing


@deferred_codegen
def apply_bias_and_masks_to_row(call, head, lane, k0, seen, s):
    """The same for one query's scores, for the keys from k0 on; the band lets it see the keys `seen`."""
    (h, i), nothing = query_of(call.sizes, head.kv, lane), as_kind(-np.inf, call.kind)
    bias, mask = call.operands.bias, call.operands.mask
    if bias.address:
        address = address_of(bias, head.b, h, i, k0)
        for j in range(s.size):
            s[j] += load_stored(address + j * bias.by_column, call.sizes.storage, call.kind)
    if mask.address:
        address = address_of(mask, head.b, h, i, k0)
        for j in range(s.size):
            if load_byte(address + j * mask.by_column) == 0:
                s[j] = nothing
    s[: min(max(seen.first - k0, 0), s.size)] = nothing
    s[min(max(seen.last - k0, 0), s.size) :] = nothing
