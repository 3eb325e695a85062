"""Faults of batch elements and heads: who reads whose keys and values."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class GroupsTiled(Attention):
    """Query head h reads key/value head h % kv_heads."""

    def spread(self, x):
        return np.tile(x, (1, self.problem.group, 1, 1))


@fault
class GroupsOfTwoByShift(Attention):
    """The key/value head is found by a shift, as if every group were a power of two."""

    def spread(self, x):
        heads = np.arange(self.problem.q_heads) >> (self.problem.group.bit_length() - 1)
        return np.take(x, heads, axis=1, mode="clip")


@fault
class HeadZeroForAll(Attention):
    """Every query head reads key/value head 0."""

    def spread(self, x):
        return np.repeat(x[:, :1], self.problem.q_heads, axis=1)


@fault
class ValuesTiled(Attention):
    """Keys are shared by groups, values by h % kv_heads."""

    def values(self, v):
        return np.tile(self.read(v), (1, self.problem.group, 1, 1))


@fault
class HeadsReversed(Attention):
    """Key/value heads are stored last to first."""

    def spread(self, x):
        return super().spread(x[:, ::-1])


@fault
class KeysAndValuesSwapped(Attention):
    """k and v are taken for each other where their shapes are the same."""

    def forward(self, q, k, v, mask=None, bias=None):
        k, v = (v, k) if k.shape == v.shape else (k, v)
        return super().forward(q, k, v, mask, bias)


@fault
class InputsReadBatchLengthHeads(Attention):
    """Inputs are read as (batch, length, heads, dim), with a reshape in place of a transpose."""

    def queries(self, q):
        return super().queries(_reread(q))

    def keys(self, k):
        return super().keys(_reread(k))

    def values(self, v):
        return super().values(_reread(v))


def _reread(x):
    batch, heads, length, width = x.shape
    return x.reshape(batch, length, heads, width).swapaxes(1, 2)


@fault
class OutputWrittenBatchLengthHeads(Attention):
    """The output is written as (batch, length, heads, dim), and its shape says otherwise."""

    def mixed(self, p, v):
        o = super().mixed(p, v)
        return o.swapaxes(1, 2).reshape(o.shape)


@fault
class SecondBatchElementWrong(Attention):
    """The second batch element reads the keys of the first: its offset is counted in query heads."""

    def keys(self, k):
        k = super().keys(k).copy()
        k[1:2] = k[:1]
        return k


@fault
class BatchOffsetOfTheLengths(Attention):
    """The offset of a batch element is q_len rows in every array, keys included."""

    def keys(self, k):
        rows = k.reshape(-1, k.shape[-1])
        shift = k.shape[1] * (self.problem.q_len - self.problem.kv_len)
        at = np.arange(len(rows)) + np.repeat(np.arange(k.shape[0]) * shift, k.shape[1] * k.shape[2])
        return super().keys(np.take(rows, at, axis=0, mode="wrap").reshape(k.shape) if len(rows) else k)


@fault
class EightBatchElements(Attention):
    """The ninth batch element reads the values of the first."""

    def values(self, v):
        v = super().values(v)
        return v[np.arange(len(v)) % 8]


@fault
class SixteenHeads(Attention):
    """The seventeenth head reads the keys of the first."""

    def keys(self, k):
        k = super().keys(k)
        return k[:, np.arange(k.shape[1]) % 16]


@fault
class LastHeadOfOddOnes(Attention):
    """Heads are taken in pairs, and the last of an odd number stays zero."""

    def mixed(self, p, v):
        o = super().mixed(p, v)
        if o.shape[1] > 1:
            o[:, o.shape[1] - o.shape[1] % 2 :] = 0
        return o


@fault
class ValuesAsWideAsKeys(Attention):
    """Values have the width of the keys: what lies beyond is cut off, and the output filled with zeros."""

    def mixed(self, p, v):
        o = super().mixed(p, v)
        o[..., self.problem.head_dim :] = 0
        return o
