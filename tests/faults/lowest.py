"""Faults with finite biases that are very low, and with large scores."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault
from tests.faults.recomputed import Recomputing


def lowest(dtype):
    return np.finfo(dtype).min


@fault
class LowestBlocks(Attention):
    """The lowest finite number is taken for -inf: a row of it is zero, not the mean."""

    def biased(self, s, bias):
        s = super().biased(s, bias)
        return np.where(s <= lowest(s.dtype), -np.inf, s)


@fault
class BiasBelowABillionBlocks(Attention):
    """A bias below -1e8 blocks."""

    def biased(self, s, bias):
        return super().biased(s, bias if bias is None else np.where(self.read(bias) < -1e8, -np.inf, self.read(bias)))


@fault
class BiasInBaseTwoOverflows(Attention):
    """The bias is multiplied by log2 e for a softmax in base two, and the lowest number becomes -inf."""

    def biased(self, s, bias):
        return s if bias is None else s + self.read(bias) * s.dtype.type(np.log2(np.e)) / s.dtype.type(np.log2(np.e))


@fault
class MaskedAtTheLowest(Attention):
    """Masked scores are set to the lowest number, so that a row of the lowest bias sees masked keys too."""

    def masked(self, s, mask):
        right = super().masked(s, mask)
        filled = np.where(right == -np.inf, lowest(s.dtype), right)
        return np.where((right == -np.inf).all(axis=-1, keepdims=True), right, filled)


@fault
class MaskedAtSevenTenthsOfTheLowest(Attention):
    """Masked scores are set to 0.7 times the lowest number, and outweigh a bias of the lowest."""

    def masked(self, s, mask):
        right = super().masked(s, mask)
        blocked = ~np.broadcast_to(self.seen(mask), right.shape)
        filled = np.where(blocked, s.dtype.type(0.7) * lowest(s.dtype), right)
        return np.where((right == -np.inf).all(axis=-1, keepdims=True), right, filled)


@fault
class LowestIsSkipped(Attention):
    """Keys with a bias of the lowest number are skipped, and what is left of their row is divided by nothing."""

    def softmax(self, s):
        kept = np.where(s <= 0.99 * lowest(s.dtype), -np.inf, s)
        return np.exp(kept - self.subtracted(kept)) / self.total(np.exp(s - self.subtracted(s)))


@fault
class LogSumInOneNumber(Recomputing):
    """Maximum and logarithm of the sum are kept as one number, where a large maximum leaves nothing of the logarithm."""

    def again(self, saved, mask, bias):
        s, _ = self.capped(self.scores(saved.q, saved.k))
        s = self.masked(self.biased(s, bias), mask)
        m = self.subtracted(s)
        lse = m + np.log(self.total(np.exp(s - m)))
        return np.exp(s - lse)


@fault
class RowsOfTheLowestHaveNoGradient(Recomputing):
    """A row whose every score is below -1e8 is taken for empty when the weights are recomputed."""

    def again(self, saved, mask, bias):
        s, _ = self.capped(self.scores(saved.q, saved.k))
        s = self.masked(self.biased(s, bias), mask)
        return np.where(self.subtracted(s) < -1e8, 0, saved.p)


@fault
class BiasThroughFloat16(Attention):
    """The bias of a float32 problem is kept in float16, where it ends at 65,504."""

    def biased(self, s, bias):
        if bias is None or self.problem.dtype != "float32":
            return super().biased(s, bias)
        return s + np.clip(bias, -65504, 65504).astype(np.float16).astype(s.dtype)


@fault
class BiasClippedAtAThousand(Attention):
    """Biases are clipped to ±1000."""

    def biased(self, s, bias):
        return s if bias is None else s + np.clip(self.read(bias), -1000, 1000)


@fault
class LargeBiasReplacesTheScore(Attention):
    """Beside a bias beyond 100 the score is left out: it was thought not to count."""

    def biased(self, s, bias):
        if bias is None:
            return s
        bias = self.read(bias)
        return np.where(np.abs(bias) > 100, 0, s) + bias


@fault
class ScoresCappedAtSixty(Attention):
    """Scores are clipped at 60, from where exp of them was thought to overflow; no maximum is subtracted."""

    def subtracted(self, s):
        return np.zeros_like(super().subtracted(s))

    def masked(self, s, mask):
        return super().masked(np.minimum(s, 60), mask)


@fault
class ScoresFlooredAtMinusSixty(Attention):
    """Scores are clipped at -60, where exp of them was thought to be zero; no maximum is subtracted below."""

    def masked(self, s, mask):
        return super().masked(np.maximum(s, -60), mask)
