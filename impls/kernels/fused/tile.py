"""One tile of queries against its keys: the loop of FlashAttention-2 (Dao 2023, arXiv 2307.08691, alg. 1), transposed.

A tile of scores is (keys, queries), with queries along the vectors' lanes. Keys and values are then the operand of the
micro-kernel that is read an element at a time, so they are used where they lie, and the softmax of a query never crosses
lanes. What is packed is small: the tile's queries on the way in, its output on the way out.
"""

import numpy as np

from impls.kernels.fused.exponential import softmax
from impls.kernels.fused.internal import internal
from impls.kernels.fused.masking import adjust, ask_for_lanes, is_scattered, seen_through_mask, visible
from impls.kernels.fused.memory import NATIVE, as_kind, cut, lanes_of, multiply
from impls.kernels.fused.microkernel import MOST_VECTORS, ROWS
from impls.kernels.fused.operands import (
    ADDRESS,
    BIAS,
    D_ROWS,
    DV_ROWS,
    HEAD_DIM,
    KEPT,
    MASK,
    STORAGE,
    TILE_KEYS,
    TURNED,
    V_HEAD_DIM,
    K,
    Q,
    V,
)
from impls.kernels.fused.packing import round_up
from impls.kernels.fused.pair_products import columns_by_lanes_in_pairs, keys_by_lanes_in_pairs
from impls.kernels.fused.pairs import pair_rows, parts_of
from impls.kernels.fused.products import columns_by_lanes, keys_by_lanes
from impls.kernels.fused.softcap import soften
from impls.kernels.fused.turning import load_columns

AT_ONCE = 2 * ROWS
"""Keys for whose products a share of the bias is asked for: a processor has some 24 requests under way, and then waits."""


@internal
def workspace(sizes, address, kind):
    """What a thread needs for `attend`, cut out of its memory, each part at a multiple of 64 bytes.

    (packed queries, scores, copied keys, copied values, scratch for packing, first keys, last keys, states, the address of
    values turned around, or zero).
    """
    unit, native = lanes_of(kind), sizes[STORAGE] == NATIVE
    width, tile = MOST_VECTORS * unit, sizes[TILE_KEYS]
    packed, address = cut(address, sizes[D_ROWS] * width, kind)
    s, address = cut(address, tile * width, kind)
    keys, address = cut(address, (ROWS if native else tile) * sizes[HEAD_DIM], kind)
    values, address = cut(address, tile * (ROWS if native else sizes[DV_ROWS]), kind)
    scratch, address = cut(address, unit * (1 + max(sizes[D_ROWS], sizes[DV_ROWS])), kind)
    first, address = cut(address, width, np.int32(0))
    last, address = cut(address, width, np.int32(0))
    states, address = cut(address, sizes[KEPT] * (2 + sizes[DV_ROWS]) * width, kind)
    return packed, s, keys, values, scratch, first, last, states, address if sizes[TURNED] else np.int64(0)


@internal
def scores(operands, sizes, b, kv, lane, lanes, vectors, k0, keys, packed, copied, s, masked, stored):
    """The tile's scores as `keys_by_lanes` has them. Bias and mask, which will be applied to them, are prefetched."""
    depth, width, kind = sizes[HEAD_DIM], vectors * lanes_of(s[0]), s[0]
    if masked and is_scattered(operands, MASK, sizes, keys, kind):
        ask_for_lanes(operands, MASK, sizes, b, kv, lane, lane + lanes, k0, keys, kind)
    scattered = is_scattered(operands, BIAS, sizes, keys, kind)
    part = AT_ONCE if scattered else keys
    for r in range(0, keys, part):
        if scattered:
            first, last = lane + lanes * r // keys, lane + lanes * min(r + part, keys) // keys
            ask_for_lanes(operands, BIAS, sizes, b, kv, first, last, k0, keys, kind)
        left, out = min(part, keys - r), s[r * width :]
        if stored is not None:
            keys_by_lanes_in_pairs(operands, K, sizes, b, kv, k0 + r, left, depth, vectors, packed, copied, out, stored)
        else:
            keys_by_lanes(operands, K, sizes, b, kv, k0 + r, left, depth, vectors, packed, copied, out)
    return round_up(keys, ROWS)


@internal
def is_fresh(m):
    """Whether a state has seen no key; what its o is does not matter then."""
    fresh = True
    for n in range(m.size):
        fresh = fresh and m[n] == -np.inf
    return fresh


@internal
def attend(operands, sizes, b, kv, lane, lanes, vectors, begin, end, scale, softcap, work, m, l, o, stored):
    """Fold the keys [begin, end) into the state of `lanes` queries of a key/value head, from lane `lane` on.

    m and l are (vectors * lanes of a vector,), o is (output_rows, that many); see `softmax` for what they mean. Keys that no
    query of the tile can see are not touched.
    """
    packed, s, copied_keys, copied_values, scratch, first, last, _, place = work
    kind = s[0]
    width = vectors * lanes_of(kind)
    tile = sizes[TILE_KEYS]
    first_least, first_most, last_least, last_most = visible(sizes, lane, lanes, width, begin, end, first, last)
    if first_least >= last_most:
        return
    # Half precision is multiplied by a power of two, which does not round; scores by what is left of the scale.
    power, rest = parts_of(scale) if stored is not None else (scale, as_kind(1, kind))
    load_columns(operands, Q, sizes, b, kv, lane, lanes, sizes[HEAD_DIM], width, power, packed, scratch, stored)
    fresh = is_fresh(m)  # Then o is overwritten, and not added to.
    for k0 in range(first_least, last_most, tile):
        keys = min(tile, last_most - k0)
        some, every = seen_through_mask(operands, sizes, b, kv, lane, lanes, k0, keys)
        if not some:
            continue
        rows = scores(operands, sizes, b, kv, lane, lanes, vectors, k0, keys, packed, copied_keys, s, not every, stored)
        if rest != 1:
            multiply(s[: rows * width], rest)
        if softcap > 0:
            soften(s.ctypes.data, rows * width, softcap, 0, kind)
        banded = first_most > k0 or last_least < k0 + keys
        if banded or rows > keys or not every or operands[BIAS, ADDRESS]:
            adjust(operands, sizes, b, kv, lane, lanes, width, k0, keys, rows, first, last, banded, not every, s, scratch)
        o_rows = 0 if fresh else o.size // width
        softmax(vectors, s.ctypes.data, rows, m.ctypes.data, l.ctypes.data, o.ctypes.data, o_rows, kind)
        columns, add, copied = sizes[V_HEAD_DIM], not fresh, copied_values
        if stored is not None:
            pair_rows(s.ctypes.data, rows, width, kind)
            columns_by_lanes_in_pairs(
                operands, V, sizes, b, kv, k0, keys, columns, vectors, s, copied, place, o, add, stored
            )
        else:
            columns_by_lanes(operands, V, sizes, b, kv, k0, keys, columns, vectors, s, copied, o, add)
        fresh = False
