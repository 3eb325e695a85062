"""The published layer's mistakes with scale, mask and features, one at a time."""

import numpy as np

from tests.faults.faulty import fault
from tests.faults.layer import MultiHeadAttention

A_BILLION = -1e9


@fault
class LayerWithoutScale(MultiHeadAttention):
    """The layer's scores are not scaled."""

    def scale(self):
        return 1.0


@fault
class ScaledKeyNeverUsed(MultiHeadAttention):
    """A scaled key is computed, and the scores are taken from the other one."""

    def scores(self, q, k):
        scaled = k * self.scale()
        del scaled
        return q @ k.swapaxes(-1, -2)


@fault
class ScaleInverted(MultiHeadAttention):
    """Scores are multiplied by the square root of the depth, not divided."""

    def scale(self):
        return 1 / super().scale() if super().scale() else 0.0


@fault
class ScaleOfTheLayerWidth(MultiHeadAttention):
    """The scale is 1/sqrt(width of the layer), not of a head."""

    def scale(self):
        return (self.problem.q_heads * self.problem.head_dim) ** -0.5


@fault
class MaskCroppedToHeads(MultiHeadAttention):
    """A mask fits scores of (heads, heads) only, so it is cut to that many queries and keys."""

    def seen(self, mask):
        if mask is None:
            return self.in_band()
        n = self.problem.q_heads
        cropped = np.ones((*mask.shape[:-2], self.problem.q_len, self.problem.kv_len), bool)
        cropped[..., :n, :n] = np.broadcast_to(mask, cropped.shape)[..., :n, :n]
        return super().seen(cropped)


@fault
class MaskPolarity(MultiHeadAttention):
    """1 in the mask means blocked."""

    def seen(self, mask):
        return super().seen(None if mask is None else ~mask)


@fault
class MaskedRowIsAMean(MultiHeadAttention):
    """-1e9 is added where masked, so a row with nothing to attend to becomes the mean of all values."""

    def masked(self, s, mask):
        return s + np.where(self.seen(mask), 0, A_BILLION).astype(s.dtype)


@fault
class MaskOverflowsInHalf(MultiHeadAttention):
    """mask * -1e9 in the dtype of the inputs: -inf in float16, and 0 * -inf is nan."""

    def masked(self, s, mask):
        seen = self.seen(mask)
        penalty = (~seen).astype(self.dtype) * np.array(A_BILLION).astype(self.dtype)
        some = seen.any(axis=-1, keepdims=True)
        return np.where(some, s + penalty, -np.inf)


@fault
class FloatMaskTimesMinusABillion(MultiHeadAttention):
    """An additive mask is multiplied by -1e9 as if it were 0 and 1, so that its -inf becomes +inf."""

    def biased(self, s, bias):
        return s if bias is None else s + self.read(bias) * A_BILLION


@fault
class MaskMultipliedIntoScores(MultiHeadAttention):
    """A boolean mask does not fit the float arithmetic, and is multiplied into the scores."""

    def masked(self, s, mask):
        return super().masked(s if mask is None else s * mask, None)


@fault
class FeaturesDeclaredAndIgnored(MultiHeadAttention):
    """Causal flag, window, mask, bias, softcap, scale and grouped heads are accepted, and ignored."""

    def spread(self, x):
        return x[:, np.arange(self.problem.q_heads) % x.shape[1]]

    def scale(self):
        return self.problem.head_dim**-0.5

    def capped(self, s):
        return s, None

    def biased(self, s, bias):
        return s

    def seen(self, mask):
        return np.True_
