"""A correct multi-head layer in NumPy, in named steps: a fault replaces one of them."""

from typing import NamedTuple

import numpy as np

from harness.multi_head import EVERYTHING, MULTI_HEAD


class Saved(NamedTuple):
    """What the backward pass needs of the forward one; a key/value head for every query head."""

    x: np.ndarray
    y: np.ndarray
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    p: np.ndarray
    slope: np.ndarray | None
    flat: np.ndarray
    """The heads' outputs side by side."""


class Layer:
    """Concat(head_1 … head_h) W^O + b^O with head_i = attention(x W_i^Q + b_i^Q, y W_i^K + b_i^K, y W_i^V + b_i^V)."""

    operator = MULTI_HEAD
    supports = EVERYTHING

    def __init__(self, problem):
        self.problem = problem
        self.group = problem.q_heads // problem.kv_heads

    @classmethod
    def forget(cls):
        """Drop what calls have left behind outside the layer; a correct one leaves nothing."""

    def load(self, weights):
        self.dtype = weights["wq"].dtype
        self.wide = np.float64 if self.dtype == np.float64 else np.float32
        self.weights = {name: a.astype(self.wide) for name, a in weights.items()}

    # --- forward -------------------------------------------------------------------------------------

    def forward(self, x, y=None, k_cache=None, v_cache=None, mask=None):
        """(out, what backward needs)."""
        x, y = self.sources(x, y)
        q = self.split(self.projected("q", x), self.problem.q_heads)
        k, v = (self.split(self.projected(letter, y), self.problem.kv_heads) for letter in "kv")
        if k_cache is not None:
            k, v = self.with_cache(k_cache, k), self.with_cache(v_cache, v)
        k, v = self.spread(k), self.spread(v)
        p, slope = self.attention_weights(q, k, mask)
        flat = self.merge(p @ v)
        return self.stored(self.output(flat)), Saved(x, y, q, k, v, p, slope, flat)

    def sources(self, x, y):
        """What queries, and keys and values, come from."""
        x = self.read(x)
        return x, x if y is None else self.read(y)

    def read(self, x):
        return x.astype(self.wide)

    def stored(self, x):
        return x.astype(self.dtype)

    def weight(self, letter):
        """As a matrix, heads side by side; of W^O one below the other."""
        w = self.weights[f"w{letter}"]
        return w.reshape(-1, w.shape[-1]) if letter == "o" else w.reshape(len(w), -1)

    def bias(self, letter):
        return self.weights[f"b{letter}"].reshape(-1) if self.problem.biases else self.wide(0)

    def projected(self, letter, x):
        """(batch, length, heads · dim)"""
        return x @ self.weight(letter) + self.bias(letter)

    def split(self, flat, heads):
        """(batch, heads, length, dim)"""
        batch, length, columns = flat.shape
        return flat.reshape(batch, length, heads, columns // heads).transpose(0, 2, 1, 3)

    def with_cache(self, past, new):
        return np.concatenate([self.read(past), new], axis=2)

    def spread(self, x):
        """Key/value heads repeated, so that query head h finds head h // group in place h."""
        return np.repeat(x, self.group, axis=1)

    def attention_weights(self, q, k, mask):
        """(p, the softcap's slope), (batch, heads, length, keys)."""
        s, slope = self.capped(self.scaled(q, k))
        return self.softmax(np.where(self.seen(mask), s, -np.inf)), slope

    def scaled(self, q, k):
        return (q * self.wide(self.scale())) @ k.swapaxes(-1, -2)

    def scale(self):
        return self.problem.scale

    def capped(self, s):
        cap = self.problem.softcap
        if cap is None:
            return s, None
        t = np.tanh(s / cap)
        return cap * t, 1 - t * t

    def seen(self, mask):
        """Boolean, broadcastable to the scores."""
        low, high = self.problem.attention.band
        distance = np.arange(self.problem.kv_len) - np.arange(self.problem.q_len)[:, None]
        band = (distance >= low) & (distance <= high)
        return band if mask is None else band & mask

    def softmax(self, s):
        top = s.max(axis=-1, keepdims=True, initial=-np.inf)
        p = np.exp(s - np.where(np.isfinite(top), top, 0))
        total = p.sum(axis=-1, keepdims=True)
        return p / np.where(total > 0, total, 1)

    def merge(self, o):
        """(batch, length, heads · dim)"""
        batch, heads, length, dim = o.shape
        return o.transpose(0, 2, 1, 3).reshape(batch, length, heads * dim)

    def output(self, flat):
        return flat @ self.weight("o") + self.bias("o")

    # --- backward ------------------------------------------------------------------------------------

    def backward(self, saved, dout):
        """The gradients of x, y, weights and biases, in the order of the problem's outputs."""
        problem, dout = self.problem, self.read(dout)
        do = self.split(dout @ self.weight("o").T, problem.q_heads)
        inner = dict(zip("qkv", self.attention_gradients(saved, do), strict=True))
        flat = {letter: self.merge(d) for letter, d in inner.items()}
        found = {"wo": self.weight_gradient(saved.flat, dout), "bo": self.bias_gradient(dout)}
        for letter, source in (("q", saved.x), ("k", saved.y), ("v", saved.y)):
            found[f"w{letter}"] = self.weight_gradient(source, flat[letter])
            found[f"b{letter}"] = self.bias_gradient(flat[letter])
        found |= self.input_gradients({letter: d @ self.weight(letter).T for letter, d in flat.items()})
        return tuple(self.stored(found[name[1:]].reshape(shape)) for name, shape in problem.output_shapes.items())

    def attention_gradients(self, saved, do):
        """dq, dk and dv, as the heads are."""
        ds = self.score_gradient(saved, do)
        dk, dv = ds.swapaxes(-1, -2) @ saved.q, saved.p.swapaxes(-1, -2) @ do
        return ds @ saved.k, self.gathered(dk), self.gathered(dv)

    def score_gradient(self, saved, do):
        dp = do @ saved.v.swapaxes(-1, -2)
        ds = self.wide(self.scale()) * saved.p * (dp - (dp * saved.p).sum(axis=-1, keepdims=True))
        return ds if saved.slope is None else ds * saved.slope

    def gathered(self, d):
        """Of the query heads that share a key/value head, the sum."""
        batch, heads, keys, dim = d.shape
        return d.reshape(batch, heads // self.group, self.group, keys, dim).sum(axis=2)

    def weight_gradient(self, source, gradient):
        """(fan_in, fan_out), summed over batch and length."""
        return np.einsum("ble,blf->ef", source, gradient)

    def bias_gradient(self, gradient):
        return gradient.sum(axis=(0, 1))

    def input_gradients(self, back):
        """x, and y where there is one, from what each projection sends back."""
        if self.problem.cross:
            return {"x": back["q"], "y": back["k"] + back["v"]}
        return {"x": back["q"] + back["k"] + back["v"]}
