"""Faults of the softmax: its axis, its maximum, its sum."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class SoftmaxOverQueries(Attention):
    """Softmax runs over the queries; its shape hides it when there are as many as keys."""

    def softmax(self, s):
        return super().softmax(s.swapaxes(-1, -2)).swapaxes(-1, -2)


@fault
class SoftmaxOverHeads(Attention):
    """Softmax runs over the heads."""

    def softmax(self, s):
        return super().softmax(s.swapaxes(1, 3)).swapaxes(1, 3)


@fault
class NoMaximumSubtracted(Attention):
    """exp of the scores as they are."""

    def subtracted(self, s):
        return 0


@fault
class MaximumOfTheWholeMatrix(Attention):
    """The largest score of the whole matrix is subtracted, and rows far below it underflow."""

    def subtracted(self, s):
        m = s.max(axis=(-1, -2), keepdims=True, initial=-np.inf)
        return np.where(m == -np.inf, 0, m)


@fault
class MaximumStartsAtZero(Attention):
    """The row's maximum starts at 0, not -inf: rows of very negative scores underflow."""

    def subtracted(self, s):
        return s.max(axis=-1, keepdims=True, initial=0)


@fault
class MaximumStartsAtMinusTenThousand(Attention):
    """The row's maximum starts at -1e4, which rows of scores below it do not exceed."""

    def subtracted(self, s):
        return s.max(axis=-1, keepdims=True, initial=-1e4)


@fault
class MaximumOverMaskedKeys(Attention):
    """The row's maximum is taken before the mask, and what is attended to may underflow."""

    def weights(self, q, k, mask, bias):
        s, slope = self.capped(self.scores(q, k))
        s = self.biased(s, bias)
        e = np.exp(self.masked(s, mask) - self.subtracted(s))
        return e / self.total(e), slope


@fault
class MaximumOfTheFirstKeys(Attention):
    """The row's maximum is taken over its first 128 keys."""

    def subtracted(self, s):
        return super().subtracted(s[..., :128])


@fault
class NotNormalised(Attention):
    """The weights are not divided by their sum."""

    def total(self, e):
        return 1


@fault
class OneInTheDenominator(Attention):
    """exp(0) is added to the sum of the weights, as for an attention sink."""

    def softmax(self, s):
        m = self.subtracted(s)
        e = np.exp(s - m)
        return e / (e.sum(axis=-1, keepdims=True) + np.exp(-m))


@fault
class EpsilonInTheDenominator(Attention):
    """1e-8 is added to the sum of the weights, lest it be zero; float32 does not notice, float64 does."""

    def total(self, e):
        return e.sum(axis=-1, keepdims=True) + e.dtype.type(1e-8)


@fault
class SumOverMaskedKeys(Attention):
    """The sum of the weights also counts the masked keys."""

    def weights(self, q, k, mask, bias):
        s, slope = self.capped(self.scores(q, k))
        e = self.softmax(self.biased(s, bias))
        return e * self.seen(mask), slope


@fault
class BaseTwo(Attention):
    """2 to the power of the scores, which were not multiplied by log2(e)."""

    def softmax(self, s):
        return super().softmax(s * np.log(2).astype(s.dtype))
