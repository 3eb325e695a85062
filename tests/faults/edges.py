"""Faults at the edges: the last tile, an odd length, a length beyond what was thought of."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault
from tests.faults.tiled import TiledAttention


@fault
class PartialTileDropped(TiledAttention):
    """The keys that do not fill a tile of 16 are left out."""

    def key_tiles(self, rows):
        return _whole(self, super().key_tiles(rows))


@fault
class PartialTileOf128Dropped(TiledAttention):
    """The keys that do not fill a tile of 128 are left out, once there is one whole tile."""

    tile = 128

    def key_tiles(self, rows):
        return _whole(self, super().key_tiles(rows))


def _whole(attention, tiles):
    length, tile = attention.problem.kv_len, attention.tile
    return [keys for keys in tiles if keys.stop - keys.start == tile or length < tile]


@fault
class LastKeyOfOddLength(Attention):
    """Keys are taken in pairs, and the last of an odd number is left out."""

    def seen(self, mask):
        length = self.problem.kv_len
        return super().seen(mask) & (np.arange(length) < length - length % 2)


@fault
class LastRowOfPartialTile(TiledAttention):
    """The last query of a tile that is not full stays zero."""

    def query_tiles(self):
        length = self.problem.q_len
        return [slice(r.start, r.stop - (r.stop == length and length % self.tile > 1)) for r in super().query_tiles()]


@fault
class PartialTileReadsOn(Attention):
    """The last tile is read to its end: what lies beyond the keys, here the first ones again, gets weight."""

    def forward(self, q, k, v, mask=None, bias=None):
        return _beyond_the_end(self, q, k, v, mask, bias, np.take)


@fault
class PartialTileOfZeros(Attention):
    """The last tile is filled up with zeros, which are keys with a score of zero."""

    def forward(self, q, k, v, mask=None, bias=None):
        return _beyond_the_end(self, q, k, v, mask, bias, _zeros_like_taken)


def _zeros_like_taken(x, at, axis):
    return np.zeros_like(np.take(x, at, axis))


def _beyond_the_end(attention, q, k, v, mask, bias, fill):
    """The attention with its keys filled up to a whole tile of 16, nothing of which is masked."""
    problem, length = attention.problem, attention.problem.kv_len
    more = -length % 16
    if not length or not more:
        return Attention.forward(attention, q, k, v, mask, bias)
    at = np.arange(more) % length
    k, v = (np.concatenate([x, fill(x, at, axis=2)], axis=2) for x in (k, v))
    bias = None if bias is None else np.pad(np.broadcast_to(bias, (*bias.shape[:-1], length)), _last_axis(bias, more))
    seen = np.pad(Attention.seen(attention, mask), _last_axis(Attention.seen(attention, mask), more), constant_values=True)
    longer = Attention(problem.replace(kv_len=length + more))
    longer.seen = lambda _: seen
    return longer.forward(q, k, v, None, bias)


def _last_axis(x, more):
    return [(0, 0)] * (x.ndim - 1) + [(0, more)]


@fault
class PartialTileIsPoisoned(Attention):
    """The last tile is read to its end, and a weight of zero times what lies there, nan, is nan."""

    def mixed(self, p, v):
        o = super().mixed(p, v)
        return np.full_like(o, np.nan) if v.shape[2] % 16 else o


@fault
class KeysBeyond4096(Attention):
    """A row of scores was thought to fit into 4096, and later keys are left out."""

    def seen(self, mask):
        return super().seen(mask) & (np.arange(self.problem.kv_len) < 4096)


@fault
class QueriesBeyond4096(Attention):
    """The grid ends after 4096 queries, and later rows stay zero."""

    def mixed(self, p, v):
        o = super().mixed(p, v)
        o[:, :, 4096:] = 0
        return o
