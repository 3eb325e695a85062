"""A published multi-head attention layer, one mistake at a time, and as a whole: projections, heads and shapes.

Where the mistake ends the layer with an exception, this is what is left once the exception has been made to go away.
"""

import dataclasses

import numpy as np

from harness.registry import Supports
from tests.faults.faulty import fault
from tests.faults.layer import MultiHeadAttention, merge

NO_MASKS = Supports(dtypes=("float64", "float32", "bfloat16", "float16"), v_head_dim=True)
"""What a layer can be asked that has lost the axes of its scores."""


def self_attention(problem):
    """Why a layer that cannot tell keys from queries refuses a problem."""
    return [] if problem.q_len == problem.kv_len else ["as many keys as queries only"]


@fault
class DenseKeepsItsBias(MultiHeadAttention):
    """Every Dense layer keeps its bias: `bias=False` is not the name of the argument (once the unknown one is ignored)."""

    def projected(self, name, x):
        return super().projected(name, x) + np.linspace(-0.5, 0.5, x.shape[-1]).astype(x.dtype)


@fault
class ProjectionsNotApplied(MultiHeadAttention):
    """The projections of query, key and value are built and never called."""

    def projected(self, name, x):
        return super().projected(name, x) if name == "output" else x

    def unprojected(self, name, x):
        return x


@fault
class SplitMixesBatchAndSequence(MultiHeadAttention):
    """Heads are split with reshape(-1, heads, depth), so that a token attends to every element of the batch."""

    supports = NO_MASKS

    def split(self, name, x):
        return x.reshape(1, x.shape[0] * x.shape[1], self.heads[name], x.shape[2] // self.heads[name]).swapaxes(1, 2)

    def merge(self, x):
        return merge(x).reshape(self.problem.batch, self.problem.q_len, -1)

    def seen(self, mask):
        return np.True_


@fault
class AttendsAcrossHeads(MultiHeadAttention):
    """Split into (batch · length, heads, depth), so that the heads of one token attend to each other."""

    supports = dataclasses.replace(NO_MASKS, extra_check=self_attention)

    def split(self, name, x):
        return x.reshape(-1, 1, self.heads[name], x.shape[-1] // self.heads[name])

    def merge(self, x):
        return x.reshape(self.problem.batch, self.problem.q_len, self.problem.q_heads * self.problem.v_head_dim)

    def seen(self, mask):
        return np.True_


@fault
class ProjectionNarrowerThanTheLayer(MultiHeadAttention):
    """Projected to half the width and split by the full depth: half as many rows (filled up with zeros)."""

    def split(self, name, x):
        batch, length, width = x.shape
        depth = width // self.heads[name]
        narrow = x[:, :, : width // 2].reshape(batch, length * (width // 2))
        rows = narrow.shape[1] // width
        filled = np.zeros((batch, length, width), x.dtype)
        filled[:, :rows] = narrow[:, : rows * width].reshape(batch, rows, width)
        return filled.reshape(batch, length, self.heads[name], depth).swapaxes(1, 2)


@fault
class DepthRoundedDown(MultiHeadAttention):
    """The depth of a head is a floor division, to whole vectors of 8, and the features of the remainder are dropped."""

    def split(self, name, x):
        q = super().split(name, x).copy()
        depth = q.shape[-1]
        q[..., depth - depth % 8 or depth :] = 0
        return q


@fault
class MergeWithoutTranspose(MultiHeadAttention):
    """Heads are merged with reshape(batch, length, features), without moving them behind the length first."""

    def merge(self, x):
        batch, heads, length, depth = x.shape
        return x.reshape(batch, length, heads * depth)


@fault
class OutputRankCollapsed(MultiHeadAttention):
    """The output is (batch · length, features), its batch axis lost."""

    def merge(self, x):
        return merge(x).reshape(-1, x.shape[1] * x.shape[3])


@fault
class KeysResizedToQueries(MultiHeadAttention):
    """Cross attention does not fit the reshape, so keys and values are repeated or cut to the number of queries."""

    supports = NO_MASKS

    def call(self, query, key, value, mask=None, bias=None):
        at = np.resize(np.arange(key.shape[1]), query.shape[1])
        key, value = (x[:, at] if x.shape[1] else x for x in (key, value))
        return super().call(query, key, value, mask, bias)

    def seen(self, mask):
        return np.True_


@fault
class ArgumentOrder(MultiHeadAttention):
    """The layer takes (v, k, q) and is called with (q, k, v)."""

    supports = dataclasses.replace(NO_MASKS, v_head_dim=False, extra_check=self_attention)

    def call(self, query, key, value, mask=None, bias=None):
        return super().call(value, key, query, mask, bias)


@fault
class Published(MultiHeadAttention):
    """The layer as published: no projections, no scale, heads attend to each other, (v, k, q, mask), output of rank 2."""

    supports = dataclasses.replace(NO_MASKS, v_head_dim=False, extra_check=self_attention)

    def call(self, query, key, value, mask=None, bias=None):
        v, k, q = (self.read(x).reshape(-1, self.problem.q_heads, self.problem.head_dim) for x in (query, key, value))
        context = self.softmax(q @ k.swapaxes(-1, -2)) @ v
        merged = context.reshape(-1, query.shape[-1])
        return self.projected("output", self.stored(merged)), None


@fault
class PublishedInShape(Published):
    """The published layer, with its output back in (batch, length, features)."""

    def call(self, query, key, value, mask=None, bias=None):
        output, saved = super().call(query, key, value, mask, bias)
        return output.reshape(query.shape), saved
