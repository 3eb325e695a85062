"""One tile of queries against its keys: the loop of FlashAttention-2 (Dao 2023, arXiv 2307.08691, alg. 1), transposed.

A tile of scores is (keys, queries), with queries along the vectors' lanes. Keys and values are then the operand of the
micro-kernel that is read an element at a time, so they are used where they lie, and the softmax of a query never crosses
lanes. What is packed is small: the tile's queries on the way in, its output on the way out.
"""

from typing import NamedTuple

import numpy as np

from ..layout.bf16_packing import load_columns
from ..layout.packing import round_up
from ..runtime.deferred_codegen import deferred_codegen
from ..runtime.memory import as_kind, cut, multiply
from ..scores.band import seen_through_mask, visible
from ..scores.masking import apply_bias_and_masks
from ..scores.prefetch import is_scattered, prefetch_lanes
from ..scores.softcap import apply_softcap
from ..scores.softmax import softmax
from ..simd.bf16 import pack_row_pairs, split_scale
from ..simd.microkernel import MAX_VECTORS, ROWS
from ..simd.stored import NATIVE, bytes_of, lanes_of
from .gemm import gemm_output, gemm_scores

AT_ONCE = 2 * ROWS
"""Keys for whose products a share of the bias is asked for: a processor has some 24 requests under way, and then waits."""


class Workspace(NamedTuple):
    """What a thread needs for `attend`."""

    packed: np.ndarray
    """The tile's queries."""
    s: np.ndarray
    """Its scores, and then weights."""
    copied_keys: np.ndarray
    copied_values: np.ndarray
    scratch: np.ndarray
    """For packing."""
    first: np.ndarray
    last: np.ndarray
    states: np.ndarray
    transposed_address: int
    """The address of values transposed for matrix tiles, or zero."""


@deferred_codegen
def workspace(sizes, address, kind):
    """A `Workspace`, cut out of a thread's memory, each part at a multiple of 64 bytes."""
    unit, native = lanes_of(kind), sizes.storage == NATIVE
    width, tile = MAX_VECTORS * unit, sizes.tile_keys
    packed, address = cut(address, sizes.d_rows * width, kind)
    s, address = cut(address, tile * width, kind)
    keys, address = cut(address, (ROWS if native else tile) * sizes.head_dim, kind)
    values, address = cut(address, tile * (ROWS if native else sizes.dv_rows), kind)
    scratch, address = cut(address, unit * (1 + max(sizes.d_rows, sizes.dv_rows)), kind)
    first, address = cut(address, width, np.int32(0))
    last, address = cut(address, width, np.int32(0))
    states, address = cut(address, sizes.chunk_tiles * (2 + sizes.dv_rows) * width, kind)
    return Workspace(packed, s, keys, values, scratch, first, last, states, address if sizes.transposed_row else np.int64(0))


@deferred_codegen
def raw_scores(operands, sizes, tile, k0, keys, packed, copied, s, masked, stored):
    """The tile's scores as `gemm_scores` has them. Bias and mask, which will be applied to them, are prefetched."""
    depth, lanes, width, kind = sizes.head_dim, tile.lanes, tile.vectors * lanes_of(s[0]), s[0]
    if masked and is_scattered(operands.mask, 1, keys):
        prefetch_lanes(operands.mask, 1, sizes, tile, 0, lanes, k0, keys)
    size = bytes_of(sizes.storage, kind)
    scattered = is_scattered(operands.bias, size, keys)
    part = AT_ONCE if scattered else keys
    for r in range(0, keys, part):
        if scattered:
            first, last = lanes * r // keys, lanes * min(r + part, keys) // keys
            prefetch_lanes(operands.bias, size, sizes, tile, first, last, k0, keys)
        gemm_scores(
            operands, operands.k, sizes, tile, k0 + r, min(part, keys - r), depth, packed, copied, s[r * width :], stored
        )


@deferred_codegen
def scores(operands, sizes, tile, band, k0, keys, packed, rest, softcap, copied, s, slope, scratch, stored):
    """The tile's scores for the keys from k0 on, with everything that comes before the softmax.

    Returns the rows of s, which are whole micro-kernels and -inf beyond the keys; 0 if the mask hides all keys, and s is not
    written then. `rest` is what the queries were not multiplied by yet; `slope`, unless 0, an address for the softcap's.
    """
    some, every = seen_through_mask(operands, sizes, tile, k0, keys)
    if not some:
        return 0
    raw_scores(operands, sizes, tile, k0, keys, packed, copied, s, not every, stored)
    rows, width, kind = round_up(keys, ROWS), tile.vectors * lanes_of(s[0]), s[0]
    if rest != 1:
        multiply(s[: rows * width], rest)
    if softcap > 0:
        apply_softcap(s.ctypes.data, rows * width, softcap, slope, kind)
    apply_bias_and_masks(operands, sizes, tile, band, k0, keys, rows, not every, s, scratch)
    return rows


@deferred_codegen
def is_fresh(m):
    """Whether a state has seen no key; what its o is does not matter then."""
    fresh = True
    for n in range(m.size):
        fresh = fresh and m[n] == -np.inf
    return fresh


@deferred_codegen
def attend(operands, sizes, tile, begin, end, scale, softcap, work, m, l, o, stored):
    """Fold the keys [begin, end) into the state of a tile's queries.

    m and l are (lanes of its vectors,), o is (output rows, that many); see `softmax` for what they mean. Keys that no query
    of the tile can see are not touched.
    """
    packed, s, kind, step = work.packed, work.s, m[0], sizes.tile_keys
    width = tile.vectors * lanes_of(kind)
    band = visible(sizes, tile.lane, tile.lanes, begin, end, work.first[:width], work.last[:width])
    if band.first_least >= band.last_most:
        return
    # Half precision is multiplied by a power of two, which does not round; scores by what is left of the scale.
    power, rest = split_scale(scale) if stored is not None else (scale, as_kind(1, kind))
    load_columns(operands, operands.q, sizes, tile, sizes.head_dim, power, packed, work.scratch, stored)
    fresh = is_fresh(m)  # Then o is overwritten, and not added to.
    for k0 in range(band.first_least, band.last_most, step):
        keys = min(step, band.last_most - k0)
        rows = scores(
            operands, sizes, tile, band, k0, keys, packed, rest, softcap, work.copied_keys, s, 0, work.scratch, stored
        )
        if rows == 0:
            continue
        o_rows = 0 if fresh else o.size // width
        softmax(tile.vectors, s.ctypes.data, rows, m.ctypes.data, l.ctypes.data, o.ctypes.data, o_rows, kind)
        if stored is not None:
            pack_row_pairs(s.ctypes.data, rows, width, kind)
        columns, copied, transposed_address = sizes.v_head_dim, work.copied_values, work.transposed_address
        gemm_output(
            operands, operands.v, sizes, tile, k0, keys, columns, s, copied, transposed_address, o, not fresh, stored
        )
        fresh = False
