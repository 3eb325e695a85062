"""A correct attention in NumPy, in named steps: a fault replaces one of them."""

from typing import NamedTuple

import numpy as np

from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.attention.operator import ATTENTION
from harness.registry import EVERYTHING


class Saved(NamedTuple):
    """What the backward pass needs of the forward one; a key/value head for every query head."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    p: np.ndarray
    slope: np.ndarray | None
    """Derivative of the softcap at each score; None without one."""


class Attention:
    """softmax(scale · q kᵀ + bias, masked) v and its gradients, with the whole score matrix at once."""

    operator = ATTENTION
    supports = EVERYTHING

    def __init__(self, problem):
        self.problem = problem
        self.dtype = NUMPY_DTYPES[problem.dtype]
        self.wide = np.float64 if problem.dtype == "float64" else np.float32

    @classmethod
    def forget(cls):
        """Drop what calls have left behind outside the callable; a correct one leaves nothing."""

    # --- forward -------------------------------------------------------------------------------------

    def forward(self, q, k, v, mask=None, bias=None):
        """(o, what backward needs)."""
        q, k, v = self.queries(q), self.keys(k), self.values(v)
        p, slope = self.weights(q, k, mask, bias)
        return self.stored(self.mixed(p, v)), Saved(q, k, v, p, slope)

    def read(self, x):
        """An input in at least float32."""
        return x.astype(self.wide)

    def queries(self, q):
        return self.read(q)

    def keys(self, k):
        """One head of keys for every query head."""
        return self.spread(self.read(k))

    def values(self, v):
        return self.spread(self.read(v))

    def spread(self, x):
        """Key/value heads repeated, so that query head h finds head h // group in place h."""
        return np.repeat(x, self.problem.group, axis=1)

    def weights(self, q, k, mask, bias):
        """(p, slope of the softcap)."""
        s, slope = self.capped(self.scores(q, k))
        return self.softmax(self.masked(self.biased(s, bias), mask)), slope

    def scale(self):
        return self.problem.scale

    def scores(self, q, k):
        """Scaled scores; q is scaled first, since q·k itself may overflow."""
        return (q * self.scale()) @ k.swapaxes(-1, -2)

    def capped(self, s):
        """(capped scores, slope)."""
        cap = self.problem.softcap
        if cap is None:
            return s, None
        t = np.tanh(s / cap)
        return cap * t, 1 - t * t

    def biased(self, s, bias):
        return s if bias is None else s + self.read(bias)

    def masked(self, s, mask):
        return np.where(self.seen(mask), s, -np.inf)

    def seen(self, mask):
        """True where a query may attend to a key, broadcastable to the scores."""
        seen = self.in_band()
        return seen if mask is None else seen & mask

    def in_band(self):
        """(q_len, kv_len), True where causality and window let a query see a key."""
        low, high = self.band()
        distance = np.arange(self.problem.kv_len) - np.arange(self.problem.q_len)[:, None]
        return (distance >= low) & (distance <= high)

    def band(self):
        return self.problem.band

    def softmax(self, s):
        """Over the last axis; a row of -inf becomes zeros."""
        e = np.exp(s - self.subtracted(s))
        return e / self.total(e)

    def subtracted(self, s):
        """The largest score of each row."""
        m = s.max(axis=-1, keepdims=True, initial=-np.inf)
        return np.where(m == -np.inf, 0, m)

    def total(self, e):
        """The sum of each row."""
        total = e.sum(axis=-1, keepdims=True)
        return np.where(total == 0, 1, total)

    def mixed(self, p, v):
        return p @ v

    def stored(self, x):
        """A result in the problem's dtype."""
        return x.astype(self.dtype)

    # --- backward ------------------------------------------------------------------------------------

    def backward(self, saved, do):
        """(dq, dk, dv)."""
        do = self.read(do)
        ds = self.score_gradient(saved, do)
        dk, dv = self.key_gradient(saved, ds), self.value_gradient(saved, do)
        return tuple(self.stored(x) for x in (self.query_gradient(saved, ds), self.gathered(dk), self.gathered(dv)))

    def score_gradient(self, saved, do):
        """The gradient of the scaled scores, p (dp - Σ p dp)."""
        dp = do @ saved.v.swapaxes(-1, -2)
        return self.through_softcap(saved, saved.p * (dp - self.row_term(saved.p, dp)))

    def row_term(self, p, dp):
        return (p * dp).sum(axis=-1, keepdims=True)

    def through_softcap(self, saved, ds):
        return ds if saved.slope is None else ds * saved.slope

    def query_gradient(self, saved, ds):
        return self.scale() * (ds @ saved.k)

    def key_gradient(self, saved, ds):
        """For every query head; `gathered` adds up those that share keys."""
        return self.scale() * (ds.swapaxes(-1, -2) @ saved.q)

    def value_gradient(self, saved, do):
        return saved.p.swapaxes(-1, -2) @ do

    def gathered(self, x):
        """The sum over the query heads of each key/value head."""
        return self.by_group(x).sum(axis=2)

    def by_group(self, x):
        """(batch, kv_heads, group, …)."""
        return x.reshape(x.shape[0], self.problem.kv_heads, self.problem.group, *x.shape[2:])
