"""Faults with the caller's arrays: inputs that are written to, outputs of another shape or dtype."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class QueryScaledInPlace(Attention):
    """The scale is multiplied into the caller's q."""

    def queries(self, q):
        q[...] = (self.read(q) * self.scale()).astype(self.dtype)
        return self.read(q)

    def scores(self, q, k):
        return q @ k.swapaxes(-1, -2)


@fault
class QueryScaledInPlaceAndBack(Attention):
    """The scale is multiplied into the caller's q, and divided out again, with two roundings."""

    def forward(self, q, k, v, mask=None, bias=None):
        result = super().forward(q, k, v, mask, bias)
        scale = q.dtype.type(self.scale() or 1)
        q *= scale
        q /= scale
        return result


@fault
class MaskInvertedInPlace(Attention):
    """The mask is inverted in the caller's array, to be used as where to block."""

    def forward(self, q, k, v, mask=None, bias=None):
        result = super().forward(q, k, v, mask, bias)
        if mask is not None:
            np.logical_not(mask, out=mask)
        return result


@fault
class MaskWrittenIntoBias(Attention):
    """-inf is written into the caller's bias where the mask blocks."""

    def forward(self, q, k, v, mask=None, bias=None):
        result = super().forward(q, k, v, mask, bias)
        if bias is not None and mask is not None:
            blocked = ~np.broadcast_to(mask, np.broadcast_shapes(mask.shape, bias.shape))
            lost = blocked.any(axis=tuple(n for n in range(blocked.ndim) if bias.shape[n] == 1), keepdims=True)
            bias[np.broadcast_to(lost, bias.shape)] = -np.inf
        return result


@fault
class OutputGradientScaledInPlace(Attention):
    """The scale is multiplied into the caller's gradient of the output."""

    def backward(self, saved, do):
        gradients = super().backward(saved, do)
        do *= do.dtype.type(self.scale())
        return gradients


@fault
class OutputInFloat32(Attention):
    """The output keeps the dtype of the sums."""

    def stored(self, x):
        return x.astype(self.wide)


@fault
class OutputInFloat32RoundedToHalf(Attention):
    """float32 outputs have gone through float16."""

    def stored(self, x):
        return super().stored(x.astype(np.float16) if self.problem.dtype == "float32" else x)


@fault
class OutputBatchLengthHeads(Attention):
    """The output is (batch, length, heads, dim)."""

    def mixed(self, p, v):
        return super().mixed(p, v).swapaxes(1, 2)
