"""A correct multi-head attention layer, and how it becomes an implementation of the contract.

Its projections are signed permutations of the features: exact in floating point, yet no layer that leaves one out, or
splits the features before it, is right.
"""

import numpy as np

from tests.faults.attention import Attention

PROJECTIONS = ("query", "key", "value", "output")


class MultiHeadAttention(Attention):
    """Concat(head_1 … head_h) W^O with head_i = attention(Q W_i^Q, K W_i^K, V W_i^V). Vaswani et al. 2017, 3.2.2."""

    def __init__(self, problem):
        super().__init__(problem)
        self.heads = {
            "query": problem.q_heads,
            "key": problem.kv_heads,
            "value": problem.kv_heads,
            "output": problem.q_heads,
        }
        depths = {
            "query": problem.head_dim,
            "key": problem.head_dim,
            "value": problem.v_head_dim,
            "output": problem.v_head_dim,
        }
        self.matrices = {
            name: signed_permutation(self.heads[name] * depths[name], seed).astype(self.wide)
            for seed, name in enumerate(PROJECTIONS)
        }

    # --- the layer: arrays are (batch, length, features) ---------------------------------------------

    def call(self, query, key, value, mask=None, bias=None):
        """(the layer's output, what backward needs)."""
        q, k, v = (self.split(name, self.projected(name, x)) for name, x in self.named(query, key, value))
        o, saved = super().forward(q, k, v, mask, bias)
        return self.projected("output", self.merge(o)), saved

    def named(self, query, key, value):
        return tuple(zip(PROJECTIONS, (query, key, value), strict=False))

    def projected(self, name, x):
        return self.times(x, self.matrices[name])

    def split(self, name, x):
        """(batch, length, features) as (batch, heads, length, depth)."""
        return split(x, self.heads[name])

    def merge(self, x):
        """(batch, heads, length, depth) as (batch, length, features)."""
        return merge(x)

    def call_backward(self, saved, gradient):
        """The gradients of query, key and value for that of the output."""
        do = split(self.times(gradient, self.matrices["output"].T), self.heads["output"])
        named = self.named(*super().backward(saved, do))
        return tuple(self.unprojected(name, merge(x)) for name, x in named)

    def unprojected(self, name, x):
        """The gradient of what was projected."""
        return self.times(x, self.matrices[name].T)

    # --- the contract: arrays are (batch, heads, length, depth) --------------------------------------

    def forward(self, q, k, v, mask=None, bias=None):
        """The layer on what its projections turn into q, k and v; its last projection is taken back."""
        inputs = (self.times(merge(x), self.matrices[name].T) for name, x in self.named(q, k, v))
        output, saved = self.call(*inputs, mask, bias)
        return split(self.times(output, self.matrices["output"].T), self.heads["output"]), saved

    def backward(self, saved, do):
        """The same for the gradients."""
        gradients = self.call_backward(saved, self.times(merge(do), self.matrices["output"]))
        return tuple(split(self.times(x, self.matrices[name]), self.heads[name]) for name, x in self.named(*gradients))

    def times(self, x, matrix):
        """x · matrix in x's dtype; exact, since the matrix is a signed permutation."""
        return (self.read(x) @ matrix).astype(x.dtype)


def split(x, heads):
    """(…, length, features) as (…, heads, length, depth)."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads).swapaxes(-3, -2)


def merge(x):
    """(…, heads, length, depth) as (…, length, features)."""
    heads, length, depth = x.shape[-3:]
    return x.swapaxes(-3, -2).reshape(*x.shape[:-3], length, heads * depth)


def signed_permutation(size, seed):
    """An orthogonal matrix of zeros and ±1, one in each row and column."""
    rng = np.random.default_rng(seed)
    matrix = np.zeros((size, size))
    matrix[np.arange(size), rng.permutation(size)] = rng.choice((-1, 1), size)
    return matrix
