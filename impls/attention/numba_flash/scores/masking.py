"""Which keys a tile's queries may see, and what that does to a tile of scores."""

import numpy as np

from ..layout.operands import address_of, query_of
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import as_kind, load_byte
from ..simd.stored import lanes_of, read
from .bias import add_bias
from .boolean_mask import apply_mask


@deferred_codegen
def apply_bias_and_masks(operands, sizes, tile, band, k0, keys, rows, masked, s, scratch):
    """Bias, mask and band on a tile of scores (rows, lanes), of which `keys` rows are keys from k0 on.

    Rows beyond the keys become -inf. `scratch` is as in `pack_lanes`.
    """
    unit, nothing = lanes_of(s[0]), as_kind(-np.inf, s[0])
    width = tile.vectors * unit
    if operands.bias.address:
        add_bias(operands, sizes, tile, k0, keys, s, scratch)
    if masked:
        apply_mask(operands, sizes, tile, k0, keys, s, scratch)
    if band.first_most > k0 or band.last_least < k0 + keys:
        for j in range(keys):
            key = np.int32(k0 + j)
            row = s[j * width : (j + 1) * width]
            for n in range(width):
                row[n] = row[n] if band.first[n] <= key and key < band.last[n] else nothing
    s[keys * width : rows * width] = nothing


@deferred_codegen
def apply_bias_and_masks_to_row(operands, sizes, b, kv, lane, k0, first, last, s):
    """Bias, mask and band on one query's scores for the keys from k0 on; it may see the keys [first, last)."""
    h, i = query_of(sizes, kv, lane)
    nothing, storage = as_kind(-np.inf, s[0]), sizes.storage
    if operands.bias.address:
        address, step = address_of(operands.bias, b, h, i, k0), operands.bias.by_column
        for j in range(s.size):
            s[j] += read(address + j * step, storage, s[0])
    if operands.mask.address:
        address, step = address_of(operands.mask, b, h, i, k0), operands.mask.by_column
        for j in range(s.size):
            if load_byte(address + j * step) == 0:
                s[j] = nothing
    s[: min(max(first - k0, 0), s.size)] = nothing
    s[min(max(last - k0, 0), s.size) :] = nothing
