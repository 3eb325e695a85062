"""Faults of a path of its own for one query, or for few."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault

FEW = 4


class Decoding(Attention):
    """Not a fault by itself: `decodes` says whether the problem takes the path for few queries."""

    most = 1

    @property
    def decodes(self):
        return self.problem.q_len <= self.most


@fault
class DecodingIgnoresTheWindow(Decoding):
    """With one query the window is left out: a cache was thought to hold no more than it."""

    def band(self):
        return self.problem.replace(window=None).band if self.decodes else super().band()


@fault
class DecodingIgnoresTheSoftcap(Decoding):
    """With one query scores are not capped."""

    def capped(self, s):
        return (s, None) if self.decodes else super().capped(s)


@fault
class DecodingMasksByHeadZero(Decoding):
    """With one query the mask of head 0 is used for all heads."""

    def seen(self, mask):
        by_head = mask is not None and mask.ndim >= 3 and self.decodes
        return super().seen(mask[..., :1, :, :] if by_head else mask)


@fault
class DecodingTakesTheBiasOfTheFirstKey(Decoding):
    """With one query the bias is taken for one of queries, and its first key's is used for all."""

    def biased(self, s, bias):
        return super().biased(s, bias[..., :1] if bias is not None and self.decodes else bias)


@fault
class DecodingTilesTheHeads(Decoding):
    """With one query head h reads key/value head h % kv_heads."""

    def spread(self, x):
        return np.tile(x, (1, self.problem.group, 1, 1)) if self.decodes else super().spread(x)


@fault
class DecodingIsAlwaysBottomRight(Decoding):
    """One query is taken for the newest, which sees the whole cache, whatever the alignment."""

    def band(self):
        return self.problem.replace(causal=self.problem.causal and "bottom-right").band if self.decodes else super().band()


@fault
class FewQueriesIgnoreThePadding(Decoding):
    """With fewer than four queries a mask of keys alone is not read: a cache was thought to be full."""

    most = FEW - 1

    def seen(self, mask):
        return super().seen(None if mask is not None and mask.ndim == 4 and mask.shape[2] == 1 and self.decodes else mask)


@fault
class FewQueriesForgetTheBiasInBackward(Decoding):
    """With fewer than four queries the weights are recomputed without the bias for the gradients."""

    most = FEW - 1

    def forward(self, q, k, v, mask=None, bias=None):
        o, saved = super().forward(q, k, v, mask, bias)
        return o, saved._replace(p=self.weights(saved.q, saved.k, mask, None)[0]) if self.decodes else saved
