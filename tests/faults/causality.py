"""Faults of the causal mask."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class CausalIgnored(Attention):
    """The causal flag is accepted and ignored."""

    def band(self):
        return self.problem.replace(causal=None).band


@fault
class CausalStrict(Attention):
    """The causal mask hides the diagonal."""

    def band(self):
        return _moved(self, high=-1)


@fault
class CausalOneTooMany(Attention):
    """The causal mask lets each query see one key of the future."""

    def band(self):
        return _moved(self, high=1)


def _moved(attention, high):
    low, old = attention.problem.band
    return low, old + high if attention.problem.causal else old


@fault
class CausalWrongWayRound(Attention):
    """The causal mask hides the past and shows the future."""

    def in_band(self):
        seen = super().in_band()
        return seen[::-1, ::-1] if self.problem.causal else seen


@fault
class CausalTopLeftAlways(Attention):
    """Both alignments are taken for top-left, whatever the number of cached keys."""

    def band(self):
        return _aligned(self.problem, "top-left").band


@fault
class CausalBottomRightAlways(Attention):
    """Both alignments are taken for bottom-right."""

    def band(self):
        return _aligned(self.problem, "bottom-right").band


def _aligned(problem, alignment):
    return problem.replace(causal=problem.causal and alignment)


@fault
class CausalOnlyWhenSquare(Attention):
    """The causal mask is left out when there are not as many keys as queries."""

    def band(self):
        square = self.problem.q_len == self.problem.kv_len
        return self.problem.band if square else self.problem.replace(causal=None).band


@fault
class CausalIgnoredForOneQuery(Attention):
    """A single query is taken for a step of decoding, which sees every key, in either alignment."""

    def band(self):
        return self.problem.replace(causal=None).band if self.problem.q_len == 1 else self.problem.band


@fault
class CausalIgnoredUnderMask(Attention):
    """A boolean mask replaces the causal one."""

    def seen(self, mask):
        return super().seen(None) if mask is None else np.broadcast_to(mask, np.broadcast_shapes(mask.shape, (1, 1)))


@fault
class CausalIgnoredInFloat16(Attention):
    """The float16 kernel was written without the causal mask."""

    def band(self):
        return self.problem.replace(causal=None).band if self.problem.dtype == "float16" else self.problem.band


@fault
class CausalOffsetOfOneByte(Attention):
    """The offset of the bottom-right diagonal is kept in one signed byte."""

    def in_band(self):
        if self.problem.causal != "bottom-right":
            return super().in_band()
        offset = self.problem.kv_len - self.problem.q_len
        wrapped = (offset + 128) % 256 - 128
        distance = np.arange(self.problem.kv_len) - np.arange(self.problem.q_len)[:, None] - (wrapped - offset)
        low, high = self.band()
        return (distance >= low) & (distance <= high)


@fault
class CausalLostBeyond4096(Attention):
    """The causal mask is a table of 4096 by 4096, and later queries and keys are not masked."""

    def in_band(self):
        seen = super().in_band().copy()
        if self.problem.causal:
            seen[4096:] = seen[:, 4096:] = True
        return seen


@fault
class PastIgnored(Attention):
    """Of cached keys, only those as recent as the queries are seen."""

    def seen(self, mask):
        cached = self.problem.kv_len - self.problem.q_len
        recent = np.arange(self.problem.kv_len) >= cached
        return super().seen(mask) & recent if self.problem.causal == "bottom-right" else super().seen(mask)
