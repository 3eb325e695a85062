"""Faults of tiled kernels: tiles that are skipped or misread, and the running state of online softmax."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault
from tests.faults.tiled import TiledAttention


@fault
class CausalSkipsOneTileTooMany(TiledAttention):
    """The last tile that causality lets a tile of queries see is skipped."""

    def meets_band(self, rows, keys, low, high):
        return super().meets_band(rows, keys, low, high - self.tile if self.problem.causal else high)


@fault
class CausalSkipsByTheFirstQuery(TiledAttention):
    """A tile is skipped when the first query of the tile cannot see it; the others could."""

    def meets_band(self, rows, keys, low, high):
        return super().meets_band(rows, keys, low, high) and keys.start - rows.start <= high


@fault
class CausalSkipsByTopLeft(TiledAttention):
    """Which tiles are skipped is decided for top-left alignment, whatever the mask."""

    def meets_band(self, rows, keys, low, high):
        return super().meets_band(rows, keys, low, min(high, 0) if self.problem.causal else high)


@fault
class WindowSkipsByTheLastQuery(TiledAttention):
    """A tile is skipped when the window of the last query has left it; the first still sees it."""

    def meets_band(self, rows, keys, low, high):
        return super().meets_band(rows, keys, low, high) and keys.stop - rows.stop >= low


@fault
class DiagonalTileUnmasked(TiledAttention):
    """Tiles on the diagonal are taken for tiles below it, and not masked."""

    def tile_seen(self, seen, rows, keys):
        tile = super().tile_seen(seen, rows, keys)
        on_diagonal = self.problem.causal and keys.start <= rows.start + self.problem.band[1] < keys.stop
        return np.ones_like(tile) if on_diagonal else tile


@fault
class MaskTileNotAdvanced(TiledAttention):
    """Every tile of keys reads the mask of the first one."""

    def tile_seen(self, seen, rows, keys):
        if not self.problem.mask:
            return super().tile_seen(seen, rows, keys)
        return seen[:, :, rows, : keys.stop - keys.start]


@fault
class BiasTileNotAdvanced(TiledAttention):
    """Every tile of queries reads the bias of the first one."""

    def tile_scores(self, q, k, bias, rows, keys):
        s, _ = self.capped(self.scores(q[:, :, rows], k[:, :, keys]))
        return self.biased(s, None if bias is None else bias[:, :, : rows.stop - rows.start, keys])


@fault
class MaskedTileIsNan(TiledAttention):
    """A tile of which a row sees nothing, before any that it sees, takes -inf from -inf."""

    def step(self, m, l, o, s, v):
        above = self.new_maximum(m, s)
        shrink, e = np.exp(m - above), np.exp(s - above)
        shrink = np.where((m == -np.inf) & (above > -np.inf), 0, shrink)
        return above, self.new_sum(l, shrink, e), self.new_output(o, shrink, e, v)

    def finished(self, m, l, o):
        return np.where(m == -np.inf, 0, super().finished(m, l, o))


@fault
class SumNotRescaled(TiledAttention):
    """The running sum is not scaled down when the maximum grows."""

    def new_sum(self, l, shrink, e):
        return super().new_sum(l, np.where(shrink > 0, 1, shrink), e)


@fault
class OutputNotRescaled(TiledAttention):
    """The running output is not scaled down when the maximum grows."""

    def new_output(self, o, shrink, e, v):
        return super().new_output(o, np.where(shrink > 0, 1, shrink), e, v)


@fault
class NothingRescaled(TiledAttention):
    """Neither sum nor output are scaled down: tiles count by their own maximum."""

    def new_sum(self, l, shrink, e):
        return super().new_sum(l, 1, e)

    def new_output(self, o, shrink, e, v):
        return super().new_output(o, 1, e, v)


@fault
class MaximumOfTheFirstTile(TiledAttention):
    """The running maximum is set by the first tile, and later tiles may overflow."""

    def new_maximum(self, m, s):
        return np.where(m == -np.inf, super().new_maximum(m, s), m)


@fault
class LastTileNormalises(TiledAttention):
    """The sum is that of the last tile."""

    def new_sum(self, l, shrink, e):
        return e.sum(axis=-1, keepdims=True)


@fault
class SplitKeysAveraged(Attention):
    """For one query the keys are split in two, and the halves' outputs averaged without their sums."""

    def softmax(self, s):
        half = s.shape[-1] // 2
        if s.shape[-2] != 1 or half < 8:
            return super().softmax(s)
        first, second = super().softmax(s[..., :half]), super().softmax(s[..., half:])
        return np.concatenate([first / 2, second / 2], axis=-1)
