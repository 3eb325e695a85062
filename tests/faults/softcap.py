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
