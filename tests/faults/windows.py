"""Faults of the attention window."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class WindowIgnored(Attention):
    """The window is accepted and ignored."""

    def band(self):
        return self.problem.replace(window=None).band


@fault
class WindowNeedsCausality(Attention):
    """The window is applied together with the causal mask only."""

    def band(self):
        return self.problem.band if self.problem.causal else self.problem.replace(window=None).band


@fault
class WindowReplacesCausality(Attention):
    """A window with a right side replaces the causal mask."""

    def band(self):
        low, high = self.problem.band
        if self.problem.causal and self.problem.window and self.problem.window[1] >= 0:
            offset = self.problem.kv_len - self.problem.q_len if self.problem.causal == "bottom-right" else 0
            return low, offset + self.problem.window[1]
        return low, high


@fault
class WindowOneTooNarrow(Attention):
    """The window counts the query's own key among those before it."""

    def band(self):
        low, high = self.problem.band
        return (low + 1, high) if self.problem.window and self.problem.window[0] >= 0 else (low, high)


@fault
class WindowOneTooWide(Attention):
    """The window shows one key more on the right."""

    def band(self):
        low, high = self.problem.band
        wider = self.problem.window and self.problem.window[1] >= 0 and not self.problem.causal
        return (low, high + 1) if wider else (low, high)


@fault
class WindowSidesSwapped(Attention):
    """Left and right of the window are swapped."""

    def band(self):
        window = self.problem.window
        return self.problem.replace(window=window and window[::-1]).band


@fault
class WindowMinusOneIsANumber(Attention):
    """A side of -1 is taken for a number of keys, not for unbounded."""

    def in_band(self):
        seen = super().in_band()
        if self.problem.window is None:
            return seen
        offset = self.problem.kv_len - self.problem.q_len if self.problem.causal == "bottom-right" else 0
        distance = np.arange(self.problem.kv_len) - np.arange(self.problem.q_len)[:, None] - offset
        left, right = self.problem.window
        return seen & (distance >= -left) & (distance <= right)


@fault
class WindowAroundTheMainDiagonal(Attention):
    """The causal mask is bottom-right, and the window stays around the main diagonal."""

    def in_band(self):
        without = self.problem.replace(window=None).band
        around_main = self.problem.replace(causal=None).band
        distance = np.arange(self.problem.kv_len) - np.arange(self.problem.q_len)[:, None]
        low, high = (combine(pair) for combine, pair in zip((max, min), zip(without, around_main, strict=True), strict=True))
        return (distance >= low) & (distance <= high)
