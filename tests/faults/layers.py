"""Layers as a tired programmer would write them."""

import dataclasses
from typing import ClassVar

import numpy as np

from tests.faults.article import FORWARD
from tests.faults.faulty import fault
from tests.faults.multi_head import Layer

SAME_LENGTHS = dataclasses.replace(
    FORWARD, extra_check=lambda problem: [] if problem.q_len == problem.kv_len else ["as many keys as queries only"]
)


@fault
class LayerDropsItsBiases(Layer):
    """The biases are loaded and not added."""

    def bias(self, letter):
        return self.wide(0)


@fault
class LayerDropsTheBiasOfItsOutput(Layer):
    """b^O is not added."""

    def output(self, flat):
        return flat @ self.weight("o")


@fault
class LayerAddsTheBiasOfItsOutputForEachHead(Layer):
    """W^O is applied head by head, and b^O with it."""

    def output(self, flat):
        return super().output(flat) + (self.problem.q_heads - 1) * self.bias("o")


@fault
class LayerSwapsKeyAndValueWeights(Layer):
    """The weights of keys and values are loaded in each other's place, where they fit."""

    def load(self, weights):
        super().load(weights)
        if self.weights["wk"].shape == self.weights["wv"].shape:
            self.weights |= {"wk": self.weights["wv"], "wv": self.weights["wk"]}


@fault
class LayerUnpacksInAnotherOrder(Layer):
    """A packed projection is read as k, v, q."""

    def load(self, weights):
        super().load(weights)
        shapes = {self.weights[name].shape for name in ("wq", "wk", "wv")}
        if len(shapes) == 1:
            order = {"q": "k", "k": "v", "v": "q"}
            for kind in "wb" if self.problem.biases else "w":
                named = {f"{kind}{one}": self.weights[f"{kind}{other}"] for one, other in order.items()}
                self.weights |= named


@fault
class LayerInterleavesHeads(Layer):
    """Column d · heads + h is taken for column d of head h."""

    def split(self, flat, heads):
        batch, length, columns = flat.shape
        return flat.reshape(batch, length, columns // heads, heads).transpose(0, 3, 1, 2)


@fault
class LayerSplitsWithoutTranspose(Layer):
    """(batch, length, width) is reshaped to (batch, heads, length, dim) at once."""

    supports = FORWARD

    def split(self, flat, heads):
        batch, length, columns = flat.shape
        return flat.reshape(batch, heads, length, columns // heads)


@fault
class LayerTransposesItsOutputWeights(Layer):
    """W^O is stored as (out, in) and read as (in, out), where it is square."""

    def weight(self, letter):
        w = super().weight(letter)
        return w.T if letter == "o" and w.shape[0] == w.shape[1] else w


@fault
class LayerUsesOneHeadOfTheOutputWeights(Layer):
    """W^O is applied per head, always with the first head's rows."""

    def weight(self, letter):
        w = super().weight(letter)
        if letter != "o":
            return w
        rows = len(w) // self.problem.q_heads
        return np.tile(w[:rows], (self.problem.q_heads, 1))


@fault
class LayerSharesKeysAndValues(Layer):
    """Keys and values come from one projection, that of the keys, where both are as wide."""

    def projected(self, letter, x):
        same = self.problem.head_dim == self.problem.v_head_dim
        return super().projected("k" if letter == "v" and same else letter, x)


@fault
class LayerMasksBeforeTheSplit(Layer):
    """The batch's masks are repeated for batch · heads in the order of the heads, and applied in that of the batch."""

    def seen(self, mask):
        if mask is None or mask.ndim < 4 or mask.shape[0] == 1 or mask.shape[1] > 1:
            return super().seen(mask)
        heads = self.problem.q_heads
        return super().seen(np.tile(mask[:, 0], (heads, 1, 1)).reshape(len(mask), heads, *mask.shape[2:]))


@fault
class LayerLeavesDropoutOn(Layer):
    """A tenth of the weights is dropped, in inference too."""

    supports = FORWARD

    def softmax(self, s):
        p = super().softmax(s)
        return p * (np.random.default_rng(0).random(p.shape) > 0.1) / 0.9


@fault
class LayerDropsWithoutRescaling(Layer):
    """A layer of which a tenth of the weights is dropped in training is scaled down by as much in inference."""

    supports = FORWARD

    def softmax(self, s):
        return super().softmax(s) * self.wide(0.9)


@fault
class LayerAddsItsInput(Layer):
    """The residual connection of the block around it is added in the layer, where the widths fit."""

    supports = FORWARD

    def forward(self, x, *args, **kwargs):
        out, saved = super().forward(x, *args, **kwargs)
        return (out + x if out.shape == x.shape else out), saved


@fault
class LayerTakesKeysFromX(Layer):
    """In cross-attention the keys are those of x, where the shapes fit; the values are y's."""

    supports = FORWARD

    def projected(self, letter, x):
        if letter == "q":
            self._x = x
        fits = letter == "k" and self._x.shape == x.shape
        return super().projected(letter, self._x if fits else x)


@fault
class LayerTilesKeyValueHeads(Layer):
    """Query head h reads key/value head h % kv_heads."""

    supports = FORWARD

    def spread(self, x):
        return np.tile(x, (1, self.group, 1, 1))


@fault
class LayerPutsTheCacheLast(Layer):
    """The cache stands behind the new positions, where masks and causality take it for them."""

    def with_cache(self, past, new):
        return np.concatenate([new, self.read(past)], axis=2)


@fault
class LayerForgetsTheNewPosition(Layer):
    """The new positions' keys are left out: their places hold the last of the cache."""

    def with_cache(self, past, new):
        whole = super().with_cache(past, new)
        whole[:, :, past.shape[2] :] = whole[:, :, past.shape[2] - 1 : past.shape[2]]
        return whole


@fault
class LayerCountsPositionsFromTheCache(Layer):
    """Causality with a cache is counted from the first key, as if the new positions were the first."""

    def seen(self, mask):
        problem = self.problem
        if problem.cache and problem.causal == "bottom-right":
            band = problem.attention.replace(causal="top-left").band
            distance = np.arange(problem.kv_len) - np.arange(problem.q_len)[:, None]
            seen = (distance >= band[0]) & (distance <= band[1])
            return seen if mask is None else seen & mask
        return super().seen(mask)


@fault
class LayerZeroesEmptyRows(Layer):
    """A position with nothing to attend to is set to zero after the output's bias was added."""

    supports = FORWARD

    def forward(self, x, y=None, k_cache=None, v_cache=None, mask=None):
        out, saved = super().forward(x, y, k_cache, v_cache, mask)
        shape = (self.problem.batch, self.problem.q_heads, self.problem.q_len, self.problem.kv_len)
        some = np.broadcast_to(self.seen(mask), shape).any(axis=(1, 3))
        return np.where(some[..., None], out, np.zeros((), out.dtype)), saved


@fault
class LayerAveragesItsHeads(Layer):
    """Every head gets the mean of all, before W^O."""

    supports = FORWARD

    def merge(self, o):
        return super().merge(np.broadcast_to(o.mean(axis=1, keepdims=True), o.shape))


@fault
class LayerKeepsItsFirstWeights(Layer):
    """Weights are kept by shape: a second layer of the same shape computes with those of the first."""

    supports = FORWARD
    kept: ClassVar[dict] = {}

    @classmethod
    def forget(cls):
        cls.kept = {}

    def load(self, weights):
        super().load(weights)
        key = tuple((name, a.shape, str(a.dtype)) for name, a in weights.items())
        self.weights = self.kept.setdefault(key, self.weights)


@fault
class LayerSumsInHalfPrecision(Layer):
    """Products are added up in the layer's own dtype, term by term."""

    supports = FORWARD

    def projected(self, letter, x):
        if self.dtype.itemsize > 2:
            return super().projected(letter, x)
        w, total = self.weight(letter), np.zeros((*x.shape[:2], self.weight(letter).shape[1]), self.dtype)
        for n in range(len(w)):
            total = total + (x[..., n, None] * w[n]).astype(self.dtype)
        return total.astype(self.wide) + self.bias(letter)


# --- gradients ---------------------------------------------------------------------------------------


@fault
class LayerSumsABiasGradientOverTheHeadsToo(Layer):
    """The gradient of a bias is the mean over its columns, in each of them."""

    def bias_gradient(self, gradient):
        found = super().bias_gradient(gradient)
        return np.broadcast_to(found.mean(), found.shape)


@fault
class LayerForgetsBatchElementsInItsWeightGradients(Layer):
    """Gradients of weights are those of the last batch element."""

    def weight_gradient(self, source, gradient):
        return super().weight_gradient(source[-1:], gradient[-1:])


@fault
class LayerAveragesItsWeightGradients(Layer):
    """Gradients of weights are divided by the batch."""

    def weight_gradient(self, source, gradient):
        return super().weight_gradient(source, gradient) / max(1, len(source))


@fault
class LayerForgetsThePathThroughKeys(Layer):
    """The gradient of x leaves out what goes through keys and values."""

    def input_gradients(self, back):
        found = super().input_gradients(back)
        return found if self.problem.cross else {"x": back["q"]}


@fault
class LayerForgetsTheScaleOnTheWayBack(Layer):
    """Gradients of queries and keys are not scaled."""

    def score_gradient(self, saved, do):
        return super().score_gradient(saved, do) / self.wide(self.scale())


@fault
class LayerForgetsASharedHeadsGradients(Layer):
    """Of the query heads that share a key/value head, the gradient of the first."""

    def gathered(self, d):
        return d[:, :: self.group]


@fault
class LayerSwapsGradientsOfKeysAndValues(Layer):
    """dk and dv come back in each other's place, where they are as wide."""

    def attention_gradients(self, saved, do):
        dq, dk, dv = super().attention_gradients(saved, do)
        return (dq, dv, dk) if dk.shape == dv.shape else (dq, dk, dv)
