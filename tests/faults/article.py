"""A published multi-head layer, one deviation at a time: F01 to F20, each in the form in which it was written.

Where it ends the layer with an exception, this is what is left once the exception has been made to go away.
"""

import dataclasses

import numpy as np

from tests.faults.faulty import fault
from tests.faults.multi_head import EVERYTHING, Layer

PLAIN = dataclasses.replace(
    EVERYTHING, causal=(), window=False, mask=False, cross=False, cache=False, grouped_heads=False, gradients=False
)
"""What a layer can be asked that has lost the axes of its scores."""

FORWARD = dataclasses.replace(EVERYTHING, gradients=False)


@fault
class LayerKeepsItsBiases(Layer):
    """F01: the Dense of the output has a bias, since `bias=False` is not the argument's name (once the error is gone)."""

    def bias(self, letter):
        return super().bias(letter) + self.wide(0.125 if letter == "o" else 0)


@fault
class LayerAppliesNoProjections(Layer):
    """F02: W^Q, W^K and W^V are made and never called; what is split into heads is the input."""

    supports = dataclasses.replace(
        FORWARD, y_width=False, head_dim=False, v_head_dim=False, grouped_heads=False,
        reasons={"head_dim": "heads share out the width"},
    )  # fmt: skip

    def projected(self, letter, x):
        return x


@fault
class LayerSplitsBatchAndSequence(Layer):
    """F03: heads are split with reshape(-1, heads, depth), so that positions of all batch elements are one sequence."""

    supports = PLAIN

    def split(self, flat, heads):
        batch, length, columns = flat.shape
        return flat.reshape(1, batch * length, heads, columns // heads).transpose(0, 2, 1, 3)

    def merge(self, o):
        return super().merge(o).reshape(self.problem.batch, self.problem.q_len, -1)

    def seen(self, mask):
        return np.True_


@fault
class LayerAttendsAcrossHeads(Layer):
    """F04: scores are (batch · length, heads, heads): the heads of one position attend to each other."""

    supports = PLAIN

    def split(self, flat, heads):
        batch, length, columns = flat.shape
        return flat.reshape(batch * length, 1, heads, columns // heads)

    def merge(self, o):
        return o.reshape(self.problem.batch, self.problem.q_len, -1)

    def seen(self, mask):
        return np.True_


@fault
class LayerDoesNotScale(Layer):
    """F05: scores are not scaled."""

    def scale(self):
        return 1.0


@fault
class LayerScalesAKeyThatNobodyReads(Layer):
    """F06: a scaled key is computed, and the scores are taken with the other one."""

    def scaled(self, q, k):
        scaled = k * self.wide(self.problem.scale)
        return q @ (scaled / self.wide(self.problem.scale)).swapaxes(-1, -2)


@fault
class LayerMultipliesByTheRoot(Layer):
    """F07: scores are multiplied by the root of the head size, not divided."""

    def scale(self):
        return np.sqrt(self.problem.head_dim)


@fault
class LayerScalesByItsWidth(Layer):
    """F08: the scale is that of the layer's width, not of a head's."""

    def scale(self):
        return 1 / np.sqrt(self.problem.width)


@fault
class LayerNarrowerThanItsHeads(Layer):
    """F09: projected to half of the width and split by the whole depth: half as many rows (filled up with zeros)."""

    supports = FORWARD

    def split(self, flat, heads):
        batch, length, columns = flat.shape
        narrow = flat[:, :, : columns // 2].reshape(batch, -1)
        filled = np.zeros((batch, length * columns), flat.dtype)
        filled[:, : narrow.shape[1]] = narrow
        return super().split(filled.reshape(flat.shape), heads)


@fault
class LayerMergesWithoutTranspose(Layer):
    """F10: heads are merged with reshape(batch, length, width), their axis still before that of the length."""

    supports = FORWARD

    def merge(self, o):
        batch, heads, length, dim = o.shape
        return o.reshape(batch, length, heads * dim)


@fault
class LayerLosesTheBatchAxis(Layer):
    """F11: the output is (batch · length, width)."""

    supports = FORWARD

    def output(self, flat):
        return super().output(flat).reshape(-1, self.problem.out_width)


@fault
class LayerCutsKeysToQueries(Layer):
    """F12: cross-attention does not fit the reshape, so y is repeated or cut to the length of x."""

    supports = dataclasses.replace(FORWARD, mask=False, cache=False)

    def sources(self, x, y):
        x, y = super().sources(x, y)
        return x, y[:, np.resize(np.arange(y.shape[1]), self.problem.kv_len) % max(1, min(x.shape[1], y.shape[1]))]


@fault
class LayerMasksHeads(Layer):
    """F13: a mask is applied to the first axes of the scores that it fits: the batch's mask falls on the heads."""

    def seen(self, mask):
        if mask is not None and mask.ndim == 4 and mask.shape[0] > 1 and mask.shape[1] == 1:
            mask = np.resize(mask[:, 0], (self.problem.q_heads, *mask.shape[2:]))
        return super().seen(mask)


@fault
class LayerMaskIsInverted(Layer):
    """F14: 1 blocks, the opposite of PyTorch, JAX, Keras and ONNX."""

    def seen(self, mask):
        return super().seen(None if mask is None else ~mask)


class _Lowered(Layer):
    """What may not be attended to is lowered by a large number."""

    low = -1e9

    def attention_weights(self, q, k, mask):
        s, slope = self.capped(self.scaled(q, k))
        s = s + np.where(self.seen(mask), 0, self.low).astype(self.wide)
        return self.softmax(s), slope


@fault
class LayerMasksWithABillion(_Lowered):
    """F15: mask · -1e9 is added, so that a position with nothing to attend to has the mean of what it may not see."""


@fault
class LayerMasksInHalfPrecision(_Lowered):
    """F16: -1e9 is added in the layer's own dtype: in float16 it is -inf, and rows without a key are nan."""

    def attention_weights(self, q, k, mask):
        if self.dtype != np.float16:
            return Layer.attention_weights(self, q, k, mask)
        s, slope = self.capped(self.scaled(q, k))
        with np.errstate(all="ignore"):
            s = s + np.where(self.seen(mask), 0, np.float16(-1e9)).astype(self.wide)
            p = np.exp(s - s.max(axis=-1, keepdims=True, initial=-np.inf))
            return p / p.sum(axis=-1, keepdims=True), slope


@fault
class LayerAddsItsBooleanMask(Layer):
    """F17: a boolean mask is taken for numbers, and added as 0 and 1."""

    def attention_weights(self, q, k, mask):
        s, slope = self.capped(self.scaled(q, k))
        s = s if mask is None else s + mask
        return self.softmax(np.where(self.seen(None), s, -np.inf)), slope


@fault
class LayerRoundsItsDepthDown(Layer):
    """F18: nobody checks that heads divide the width: the depth is a floor division, and columns are dropped."""

    def split(self, flat, heads):
        split = super().split(flat, heads).copy()
        depth = self.problem.width // self.problem.q_heads
        split[..., depth:] = 0
        return split


@fault
class LayerTakesValuesFirst(Layer):
    """F19: the layer takes (v, k, q) and is given (q, k, v): the queries are y's and the values x's."""

    supports = dataclasses.replace(FORWARD, causal=(), window=False, mask=False, cache=False, y_width=False)

    def sources(self, x, y):
        x, y = super().sources(x, y)
        return (y, x) if self.problem.q_len == self.problem.kv_len else (x, y)


@fault
class LayerIgnoresTheCausalFlag(Layer):
    """F20: the layer has no causal flag, no window, no groups; what is asked of it is not done, and nobody is told."""

    def seen(self, mask):
        return np.True_ if mask is None else mask
