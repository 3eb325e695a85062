"""Faults of the softcap."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class SoftcapIgnored(Attention):
    """The softcap is accepted and ignored."""

    def capped(self, s):
        return s, None


@fault
class SoftcapClips(Attention):
    """The softcap clips the scores instead of bending them."""

    def capped(self, s):
        cap = self.problem.softcap
        return (s, None) if cap is None else (np.clip(s, -cap, cap), (np.abs(s) < cap).astype(s.dtype))


@fault
class SoftcapNotMultipliedBack(Attention):
    """tanh(s / c) is not multiplied by c."""

    def capped(self, s):
        return super().capped(s) if self.problem.softcap is None else (np.tanh(s / self.problem.softcap), None)


@fault
class SoftcapBeforeTheScale(Attention):
    """The softcap bends q·k, and the scale is applied to what comes of it."""

    def scores(self, q, k):
        return q @ k.swapaxes(-1, -2)

    def capped(self, s):
        s, slope = super().capped(s)
        return self.scale() * s, slope


@fault
class SoftcapAfterBias(Attention):
    """The bias is added first, and the softcap bends it too: wrong only when both exist."""

    def weights(self, q, k, mask, bias):
        s, slope = self.capped(self.biased(self.scores(q, k), bias))
        return self.softmax(self.masked(s, mask)), slope


@fault
class SoftcapAfterMask(Attention):
    """The softcap turns the -inf of masked scores into -c, which gets weight."""

    def weights(self, q, k, mask, bias):
        s, slope = self.capped(self.masked(self.biased(self.scores(q, k), bias), mask))
        return self.softmax(s), slope


@fault
class SoftcapByAQuotient(Attention):
    """tanh is (e^x - e^-x) / (e^x + e^-x), both sides of which overflow beyond 88 in float32."""

    def capped(self, s):
        return bent(self, s, lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)))


@fault
class SoftcapByOneExponential(Attention):
    """tanh is 1 - 2 / (e^2x + 1), which cancels where x is small: a cap far above the scores leaves few digits."""

    def capped(self, s):
        return bent(self, s, lambda x: 1 - 2 / (np.exp(2 * x) + 1))


@fault
class SoftcapByASeries(Attention):
    """tanh is x - x³/3 below 1, which a cap far above the scores does not show, and ±1 beyond 4."""

    def capped(self, s):
        return bent(
            self, s, lambda x: np.where(np.abs(x) < 0.5, x - x**3 / 3, np.where(np.abs(x) > 4, np.sign(x), np.tanh(x)))
        )


@fault
class SoftcapFarAboveTheScoresIsLeftOut(Attention):
    """A cap a hundred times the largest score is taken for none."""

    def capped(self, s):
        return (
            (s, None) if self.problem.softcap and self.problem.softcap > 15 * np.abs(s).max(initial=0) else super().capped(s)
        )


def bent(attention, s, tanh):
    """(capped scores, slope) with a tanh of one's own."""
    cap = attention.problem.softcap
    if cap is None:
        return s, None
    t = tanh(s / s.dtype.type(cap)).astype(s.dtype)
    return s.dtype.type(cap) * t, 1 - t * t
