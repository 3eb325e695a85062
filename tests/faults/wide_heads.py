"""Faults of a path for wide heads with more than 32 queries."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


class Wide(Attention):
    """Not a fault by itself: `wide` says whether the problem takes the path."""

    @property
    def wide_path(self):
        return self.problem.head_dim in (128, 192, 256) and self.problem.q_len > 32


@fault
class WideHeadsMisreadUnderAMaskOfQueries(Wide):
    """With a mask that has a query axis the output is written (batch, length, heads, dim) and read by heads."""

    def mixed(self, p, v):
        o = super().mixed(p, v)
        by_queries = self.problem.mask is not None and len(self.problem.mask_shape) > 1 and self.problem.mask_shape[-2] > 1
        return np.ascontiguousarray(o.swapaxes(1, 2)).reshape(o.shape) if by_queries and self.wide_path else o


@fault
class WideHeadsIgnoreTheSoftcap(Wide):
    """Wide heads have no softcap."""

    def capped(self, s):
        return (s, None) if self.wide_path else super().capped(s)


@fault
class WideHeadsTakeTheBiasOfTheFirstTile(Wide):
    """Beyond 32 queries wide heads read the bias of the first 32 again."""

    def biased(self, s, bias):
        if bias is not None and bias.ndim > 1 and bias.shape[-2] > 1 and self.wide_path:
            bias = bias[..., np.arange(bias.shape[-2]) % 32, :]
        return super().biased(s, bias)


@fault
class WideHeadsIgnoreTheWindow(Wide):
    """The window is left out for heads of 256."""

    def band(self):
        wide = self.problem.head_dim >= 256 and self.problem.q_len > 32
        return self.problem.replace(window=None).band if wide else super().band()
