"""Faults of the scale and of the dot products that it scales."""

import math

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class ScaleAppliedTwice(Attention):
    """The scale is folded into q, and applied to the scores again."""

    def scores(self, q, k):
        return self.scale() * super().scores(q, k)


@fault
class ScaleOfHeadDimPlusOne(Attention):
    """The default scale is 1/sqrt(head_dim + 1)."""

    def scale(self):
        return _default_scale(self.problem, self.problem.head_dim + 1)


@fault
class ScaleOfPaddedHeadDim(Attention):
    """The default scale is that of the head size padded to a multiple of 16."""

    def scale(self):
        return _default_scale(self.problem, 16 * math.ceil(self.problem.head_dim / 16))


def _default_scale(problem, head_dim):
    return head_dim**-0.5 if problem.scale == problem.head_dim**-0.5 else problem.scale


@fault
class GivenScaleIgnored(Attention):
    """The scale is always 1/sqrt(head_dim)."""

    def scale(self):
        return self.problem.head_dim**-0.5


@fault
class ScaleOfTheValueWidth(Attention):
    """The default scale is 1/sqrt(v_head_dim), the width of the values."""

    def scale(self):
        return _default_scale(self.problem, self.problem.v_head_dim)


@fault
class ZeroScaleTakenForNone(Attention):
    """`scale or 1/sqrt(head_dim)`: a scale of zero is taken for none."""

    def scale(self):
        return self.problem.scale or self.problem.head_dim**-0.5


@fault
class ScaleSignLost(Attention):
    """The square root of |scale| goes into q and into k, and its sign nowhere."""

    def scale(self):
        return abs(self.problem.scale)


@fault
class ScaleAfterTheProduct(Attention):
    """q·k is scaled only afterwards, and overflows before it."""

    def scores(self, q, k):
        return self.scale() * (q @ k.swapaxes(-1, -2))


@fault
class MaximumScaledAfterwards(Attention):
    """The scale is applied to the row's largest q·k, which is the smallest score when the scale is negative."""

    def subtracted(self, s):
        if self.scale() >= 0:
            return super().subtracted(s)
        m = np.where(s == -np.inf, np.inf, s).min(axis=-1, keepdims=True, initial=np.inf)
        return np.where(m == np.inf, 0, m)


@fault
class FeaturesLeftOfEight(Attention):
    """Dot products run over whole vectors of 8 features; the rest of the head is left out."""

    def scores(self, q, k):
        whole = q.shape[-1] - q.shape[-1] % 8 or q.shape[-1]
        return super().scores(q[..., :whole], k[..., :whole])


@fault
class FeaturesBeyond128(Attention):
    """Dot products stop at 128 features."""

    def scores(self, q, k):
        return super().scores(q[..., :128], k[..., :128])
