"""Faults of the backward pass alone: the output is right, and dq, dk or dv are not."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class DvNotNormalised(Attention):
    """dv takes exp(s - max), which the sum of the row has not divided."""

    def forward(self, q, k, v, mask=None, bias=None):
        o, saved = super().forward(q, k, v, mask, bias)
        self.largest = saved.p.max(axis=-1, keepdims=True, initial=0)
        return o, saved

    def value_gradient(self, saved, do):
        p = saved.p / np.where(self.largest == 0, 1, self.largest)
        return super().value_gradient(saved._replace(p=p), do)


@fault
class DvOfTheScoreGradient(Attention):
    """dv takes the gradient of the weights, not the weights."""

    def value_gradient(self, saved, do):
        return self.score_gradient(saved, do).swapaxes(-1, -2) @ do


@fault
class RowTermMissing(Attention):
    """ds lacks the row term D: p dp, not p (dp - D)."""

    def row_term(self, p, dp):
        return 0


@fault
class RowTermUnweighted(Attention):
    """The row term is the mean of dp, not weighted by p."""

    def row_term(self, p, dp):
        return dp.mean(axis=-1, keepdims=True)


@fault
class RowTermOverQueries(Attention):
    """The row term is summed over the queries."""

    def row_term(self, p, dp):
        return (p * dp).sum(axis=-2, keepdims=True)


@fault
class RowTermAsWideAsKeys(Attention):
    """The row term is do · o over the width of the keys, and the values are wider."""

    def score_gradient(self, saved, do):
        width = self.problem.head_dim
        dp = do @ saved.v.swapaxes(-1, -2)
        row = (do * (saved.p @ saved.v))[..., :width].sum(axis=-1, keepdims=True)
        return self.through_softcap(saved, saved.p * (dp - row))


@fault
class SoftcapSlopeMissing(Attention):
    """The backward pass forgets the slope of the softcap."""

    def through_softcap(self, saved, ds):
        return ds


@fault
class SoftcapSlopeOfTheCappedScore(Attention):
    """The slope of the softcap is 1 - s², without dividing by c."""

    def capped(self, s):
        s, slope = super().capped(s)
        return s, None if slope is None else 1 - s * s


@fault
class ScoreGradientSign(Attention):
    """ds has the wrong sign."""

    def row_term(self, p, dp):
        return 2 * dp - super().row_term(p, dp)


@fault
class EmptyRowsGiveNan(Attention):
    """The gradient through a row with nothing to attend to is nan."""

    def score_gradient(self, saved, do):
        empty = ~saved.p.any(axis=-1, keepdims=True)
        return np.where(empty, np.nan, super().score_gradient(saved, do))


@fault
class OutputGradientOfOnes(Attention):
    """The gradient of the output is taken for ones, as after a sum."""

    def backward(self, saved, do):
        return super().backward(saved, np.ones_like(do))


@fault
class DqMissingScale(Attention):
    """dq is not multiplied by the scale."""

    def query_gradient(self, saved, ds):
        return ds @ saved.k


@fault
class DkMissingScale(Attention):
    """dk is not multiplied by the scale."""

    def key_gradient(self, saved, ds):
        return ds.swapaxes(-1, -2) @ saved.q


@fault
class DkScaledTwice(Attention):
    """dk takes the q that was saved already scaled, and scales again."""

    def key_gradient(self, saved, ds):
        return self.scale() * super().key_gradient(saved, ds)


@fault
class GradientsOfTheDefaultScale(Attention):
    """The backward pass uses 1/sqrt(head_dim) whatever scale was given."""

    def backward(self, saved, do):
        default = Attention(self.problem.replace(scale=self.problem.head_dim**-0.5))
        return default.backward(saved, do)
