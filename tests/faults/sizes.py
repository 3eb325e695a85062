"""Faults that begin at a size: wide heads, long tiles, many heads, indices of 16 bits."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault

BITS_16 = 2**16


@fault
class ColumnsBeyond128(Attention):
    """q·k runs over the first 128 columns: wider heads were not thought of."""

    def scores(self, q, k):
        return super().scores(q[..., :128], k[..., :128])


@fault
class OddHeadSizesBeyond128(Attention):
    """Beyond 128 columns are taken in pairs, and the last of an odd number is left out."""

    def scores(self, q, k):
        columns = q.shape[-1]
        return super().scores(*(x[..., : columns - columns % 2] if columns > 128 else x for x in (q, k)))


@fault
class ValuesBeyond256Columns(Attention):
    """Columns of the output beyond 256 stay zero."""

    def mixed(self, p, v):
        o = super().mixed(p, v)
        o[..., 256:] = 0
        return o


@fault
class ScaleOfTheValues(Attention):
    """The default scale is taken from the width of the values where heads are wider than 128."""

    def scale(self):
        wide = self.problem.head_dim > 128 and self.problem.scale == self.problem.head_dim**-0.5
        return self.problem.v_head_dim**-0.5 if wide else super().scale()


@fault
class LastKeyAfterLongTiles(Attention):
    """A single key that is left after tiles of 1024 is forgotten."""

    def seen(self, mask):
        length = self.problem.kv_len
        return super().seen(mask) & (np.arange(length) < (length - 1 if length > 1024 and length % 1024 == 1 else length))


@fault
class LastQueryBeforeLongTilesEnd(Attention):
    """With one query less than whole tiles of 1024 the last stays zero."""

    def mixed(self, p, v):
        o = super().mixed(p, v)
        if self.problem.q_len > 1000 and self.problem.q_len % 1024 == 1023:
            o[:, :, -1] = 0
        return o


@fault
class HeadsBeyondTheGrid(Attention):
    """Batch elements times heads are the second axis of a grid of blocks, which ends at 65,535; the others stay zero."""

    def mixed(self, p, v):
        o = super().mixed(p, v)
        o.reshape(-1, *o.shape[2:])[BITS_16 - 1 :] = 0
        return o


@fault
class KeyIndexOf16Bits(Attention):
    """The index of a key has 16 bits: key 65,536 is key 0 again."""

    def keys(self, k):
        return super().keys(k[:, :, np.arange(k.shape[2]) % BITS_16])


@fault
class QueryIndexOf16Bits(Attention):
    """The row of a bias or mask is found by an index of 16 bits."""

    def masked(self, s, mask):
        if mask is not None and mask.shape[-2] > BITS_16:
            mask = mask[..., np.arange(mask.shape[-2]) % BITS_16, :]
        return super().masked(s, mask)

    def biased(self, s, bias):
        if bias is not None and bias.ndim > 1 and bias.shape[-2] > BITS_16:
            bias = bias[..., np.arange(bias.shape[-2]) % BITS_16, :]
        return super().biased(s, bias)


@fault
class GradientsOf16BitHeads(Attention):
    """Heads beyond 65,535 get no gradients of keys."""

    def gathered(self, x):
        gathered = super().gathered(x)
        gathered.reshape(-1, *x.shape[2:])[BITS_16 - 1 :] = 0
        return gathered


@fault
class GroupsOfMoreThanSixteen(Attention):
    """At most 16 query heads share a key/value head; the seventeenth reads the next one."""

    def spread(self, x):
        heads = np.arange(self.problem.q_heads) // min(self.problem.group, 16)
        return x[:, heads % self.problem.kv_heads] if self.problem.group > 16 else super().spread(x)


@fault
class GroupsOfOneHeadForEachThread(Attention):
    """Gradients of keys add up eight query heads, as many as there are threads."""

    def gathered(self, x):
        return self.by_group(x)[:, :, :8].sum(axis=2)
