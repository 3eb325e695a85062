"""Faults where whole tiles, heads or sequences are blocked."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault
from tests.faults.tiled import TiledAttention


@fault
class BlockedFirstTileEndsTheRow(TiledAttention):
    """A row that sees nothing of the first tile is taken for one that sees nothing at all."""

    def finished(self, m, l, o):
        return np.where(self.ended, 0, super().finished(m, l, o))

    def empty_state(self, rows):
        self.ended = None
        return super().empty_state(rows)

    def step(self, m, l, o, s, v):
        if self.ended is None:
            self.ended = (s == -np.inf).all(axis=-1, keepdims=True)
        return super().step(m, l, o, s, v)


@fault
class BlockedTileSkipsTheNext(TiledAttention):
    """A tile that is blocked for all of its rows is skipped, and the one after it."""

    def empty_state(self, rows):
        self.skips = False
        return super().empty_state(rows)

    def step(self, m, l, o, s, v):
        if self.skips:
            self.skips = False
            return m, l, o
        self.skips = bool((s == -np.inf).all())
        return super().step(m, l, o, s, v)


@fault
class BlockedByTheFirstQuery(TiledAttention):
    """Whether a tile of the mask is empty is looked up in the row of its first query."""

    def tile_seen(self, seen, rows, keys):
        tile = super().tile_seen(seen, rows, keys)
        return tile & tile[:, :, :1].any(axis=-1, keepdims=True)


@fault
class BlockedTileOf512IsNan(TiledAttention):
    """Tiles of 512: one of which a row sees nothing, before any that it sees, takes -inf from -inf."""

    tile = 512

    def step(self, m, l, o, s, v):
        above = self.new_maximum(m, s)
        shrink, e = np.exp(m - above), np.exp(s - above)
        shrink = np.where((m == -np.inf) & (above > -np.inf), 0, shrink)
        return above, self.new_sum(l, shrink, e), self.new_output(o, shrink, e, v)

    def finished(self, m, l, o):
        return np.where(m == -np.inf, 0, super().finished(m, l, o))


@fault
class MaskOfKeysThatLeavesNoneIsIgnored(Attention):
    """A mask of keys alone that is False throughout a batch element or head is taken for no mask."""

    def seen(self, mask):
        if mask is not None and (mask.ndim < 2 or mask.shape[-2] == 1):
            mask = mask | ~mask.any(axis=-1, keepdims=True)
        return super().seen(mask)


@fault
class LengthOfZeroIsOne(Attention):
    """A sequence without keys sees its first one: lengths are at least one."""

    def seen(self, mask):
        if mask is not None and self.problem.mask == "padding":
            mask = mask | (np.arange(mask.shape[-1]) == 0)
        return super().seen(mask)


@fault
class EmptyHeadSpoilsItsNeighbour(Attention):
    """Whether a row sees anything is decided for all heads of a batch element together."""

    def softmax(self, s):
        p = super().softmax(s)
        return p * (s > -np.inf).any(axis=-1, keepdims=True).all(axis=1, keepdims=True)


@fault
class EmptySequenceSpoilsTheBatch(Attention):
    """A batch element whose every key is blocked makes the gradients of the whole batch zero."""

    def score_gradient(self, saved, do):
        ds = super().score_gradient(saved, do)
        return ds * (saved.p.any(axis=(1, 2, 3)).all())
