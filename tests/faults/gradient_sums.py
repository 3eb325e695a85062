"""Faults of the sums in the backward pass: over the heads of a group, over tiles, over the batch."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class GroupSumMissing(Attention):
    """dk and dv are those of the last query head of each group, which overwrites the others."""

    def gathered(self, x):
        return self.by_group(x)[:, :, -1]


@fault
class GroupMean(Attention):
    """dk and dv are the mean over the query heads of a group, not the sum."""

    def gathered(self, x):
        return self.by_group(x).mean(axis=2)


@fault
class GroupSumTiled(Attention):
    """dk and dv are summed over the query heads h with the same h % kv_heads."""

    def gathered(self, x):
        return x.reshape(x.shape[0], self.problem.group, self.problem.kv_heads, *x.shape[2:]).sum(axis=1)


@fault
class DkOfFirstHeadOfGroup(Attention):
    """dk is that of the first query head of each group; dv is right."""

    def key_gradient(self, saved, ds):
        dk = super().key_gradient(saved, ds)
        dk[:, np.arange(dk.shape[1]) % self.problem.group != 0] = 0
        return dk


@fault
class DqOfTheLastTile(Attention):
    """dq is that of the last tile of keys, each of which overwrites the one before."""

    def query_gradient(self, saved, ds):
        start = max(0, self.problem.kv_len - 1) // 16 * 16
        return super().query_gradient(saved._replace(k=saved.k[:, :, start:]), ds[..., start:])


@fault
class PartialTileWithoutGradient(Attention):
    """Keys that do not fill a tile of 16 get no dk and dv, once there is one whole tile."""

    def gathered(self, x):
        gathered = super().gathered(x)
        if x.shape[2] > 16:
            gathered[:, :, x.shape[2] - x.shape[2] % 16 :] = 0
        return gathered


@fault
class KeysBeyond4096WithoutGradient(Attention):
    """Keys beyond 4096 get no dk and dv."""

    def gathered(self, x):
        gathered = super().gathered(x)
        gathered[:, :, 4096:] = 0
        return gathered


@fault
class QueriesBeyond4096WithoutGradient(Attention):
    """Queries beyond 4096 add nothing to dk and dv."""

    def backward(self, saved, do):
        do = do.copy()
        dq, _, _ = super().backward(saved, do)
        do[:, :, 4096:] = 0
        return dq, *super().backward(saved, do)[1:]


@fault
class SecondBatchElementWithoutGradient(Attention):
    """The batch axis of dk and dv is walked with the stride of q: from the second element on they are zero."""

    def gathered(self, x):
        gathered = super().gathered(x)
        gathered[1:] = 0
        return gathered
