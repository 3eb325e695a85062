"""A correct attention in tiles, with the running maximum and sum of online softmax: a fault replaces one step."""

import dataclasses

import numpy as np

from harness.registry import EVERYTHING
from tests.faults.attention import Attention


class TiledAttention(Attention):
    """Tiles of queries by tiles of keys; forward only. Dao et al. 2022, algorithm 1."""

    supports = dataclasses.replace(EVERYTHING, gradients=False)
    tile = 16

    def forward(self, q, k, v, mask=None, bias=None):
        """(o, nothing)."""
        q, k, v = self.queries(q), self.keys(k), self.values(v)
        scores_shape = (*self.problem.o_shape[:3], self.problem.kv_len)
        seen = np.broadcast_to(self.seen(mask), scores_shape)
        bias = None if bias is None else np.broadcast_to(bias, scores_shape)
        o = np.zeros(self.problem.o_shape, self.wide)
        for rows in self.query_tiles():
            state = self.empty_state(rows)
            for keys in self.key_tiles(rows):
                s = self.tile_scores(q, k, bias, rows, keys)
                s = np.where(self.tile_seen(seen, rows, keys), s, -np.inf)
                state = self.step(*state, s, v[:, :, keys])
            o[:, :, rows] = self.finished(*state)
        return self.stored(o), None

    def query_tiles(self):
        return self.tiles(self.problem.q_len)

    def key_tiles(self, rows):
        """The tiles of keys that some query of `rows` may see."""
        low, high = self.band()
        return [keys for keys in self.tiles(self.problem.kv_len) if self.meets_band(rows, keys, low, high)]

    def meets_band(self, rows, keys, low, high):
        """Whether low <= j - i <= high for some pair of the two tiles."""
        return keys.start - (rows.stop - 1) <= high and keys.stop - 1 - rows.start >= low

    def tiles(self, length):
        return [slice(start, min(start + self.tile, length)) for start in range(0, length, self.tile)]

    def tile_scores(self, q, k, bias, rows, keys):
        s, _ = self.capped(self.scores(q[:, :, rows], k[:, :, keys]))
        return self.biased(s, None if bias is None else bias[:, :, rows, keys])

    def tile_seen(self, seen, rows, keys):
        return seen[:, :, rows, keys]

    def empty_state(self, rows):
        """m, l, o of rows that have seen no key."""
        b, h, _, width = self.problem.o_shape
        rows_shape = (b, h, rows.stop - rows.start, 1)
        return (
            np.full(rows_shape, -np.inf, self.wide),
            np.zeros(rows_shape, self.wide),
            np.zeros((1, 1, 1, width), self.wide),
        )

    def step(self, m, l, o, s, v):
        """Fold one tile of scores into m = max s, l = Σ exp(s - m), o = Σ exp(s - m) v."""
        above = self.new_maximum(m, s)
        shift = np.where(above == -np.inf, 0, above)
        shrink, e = np.exp(m - shift), np.exp(s - shift)
        return above, self.new_sum(l, shrink, e), self.new_output(o, shrink, e, v)

    def new_maximum(self, m, s):
        return np.maximum(m, s.max(axis=-1, keepdims=True))

    def new_sum(self, l, shrink, e):
        return l * shrink + e.sum(axis=-1, keepdims=True)

    def new_output(self, o, shrink, e, v):
        return o * shrink + self.mixed(e, v)

    def finished(self, m, l, o):
        """The output of rows that have seen all their keys."""
        return o / np.where(l == 0, 1, l)
