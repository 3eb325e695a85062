"""Faults of a backward pass that computes the weights anew, and forgets something of the forward one."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


class Recomputing(Attention):
    """Not a fault by itself: the backward pass computes the weights anew, by `again`."""

    def forward(self, q, k, v, mask=None, bias=None):
        o, saved = super().forward(q, k, v, mask, bias)
        return o, saved._replace(p=self.again(saved, mask, bias))

    def again(self, saved, mask, bias):
        return self.weights(saved.q, saved.k, mask, bias)[0]


@fault
class CausalForgottenInBackward(Recomputing):
    """The weights are recomputed without the causal mask."""

    def again(self, saved, mask, bias):
        return Attention(self.problem.replace(causal=None)).weights(saved.q, saved.k, mask, bias)[0]


@fault
class WindowForgottenInBackward(Recomputing):
    """The weights are recomputed without the window."""

    def again(self, saved, mask, bias):
        return Attention(self.problem.replace(window=None)).weights(saved.q, saved.k, mask, bias)[0]


@fault
class MaskForgottenInBackward(Recomputing):
    """The weights are recomputed without the boolean mask."""

    def again(self, saved, mask, bias):
        return super().again(saved, None, bias)


@fault
class BiasForgottenInBackward(Recomputing):
    """The weights are recomputed without the bias."""

    def again(self, saved, mask, bias):
        return super().again(saved, mask, None)


@fault
class BiasForgottenUnderMaskInBackward(Recomputing):
    """The weights are recomputed without the bias where there is a boolean mask too."""

    def again(self, saved, mask, bias):
        return super().again(saved, mask, bias if mask is None else None)


@fault
class MaximumForgottenInBackward(Recomputing):
    """The weights are recomputed as exp(s) / Σ exp(s), without the row's maximum."""

    def again(self, saved, mask, bias):
        s, _ = self.capped(self.scores(saved.q, saved.k))
        e = np.exp(self.masked(self.biased(s, bias), mask))
        return e / self.total(e)
