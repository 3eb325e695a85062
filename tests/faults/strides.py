"""Faults with arrays that are not contiguous: strides that are not read."""

import numpy as np
from numpy.lib.array_utils import byte_bounds

from tests.faults.attention import Attention
from tests.faults.faulty import fault


def from_memory(x, strides):
    """The memory behind `x` from its first element on, with other strides; it stays within what x is a view of."""
    misread = np.lib.stride_tricks.as_strided(x, x.shape, strides, writeable=False)
    (low, high), (first, last) = byte_bounds(x if x.base is None else x.base), byte_bounds(misread)
    if x.size and not low <= first <= last <= high:
        raise IndexError("read beyond the array")
    return misread


def packed(x):
    """The strides that x would have without gaps."""
    return tuple(np.cumprod((x.itemsize, *x.shape[:0:-1]))[::-1].tolist())


class Misreading(Attention):
    """Not a fault by itself: q, k and v are read with `strides`."""

    def strides(self, x):
        return x.strides

    def queries(self, q):
        return super().queries(from_memory(q, self.strides(q)))

    def keys(self, k):
        return super().keys(from_memory(k, self.strides(k)))

    def values(self, v):
        return super().values(from_memory(v, self.strides(v)))


@fault
class StridesIgnored(Misreading):
    """Arrays are read as if they were contiguous."""

    def strides(self, x):
        return packed(x)


@fault
class RowsTakenForPacked(Misreading):
    """The stride from head to head is honoured, the one from row to row is not."""

    def strides(self, x):
        return (*x.strides[:2], *packed(x)[2:])


@fault
class LastAxisTakenForContiguous(Misreading):
    """Every stride is honoured but that of the last axis, which is taken for one element."""

    def strides(self, x):
        return (*x.strides[:3], x.itemsize)


@fault
class MaskStridesIgnored(Attention):
    """Masks are read as if they were contiguous."""

    def seen(self, mask):
        return super().seen(None if mask is None else from_memory(mask, packed(mask)))


@fault
class BiasStridesIgnored(Attention):
    """Biases are read as if they were contiguous."""

    def biased(self, s, bias):
        return super().biased(s, None if bias is None else from_memory(bias, packed(bias)))


@fault
class OutputGradientStridesIgnored(Attention):
    """The gradient of the output is read as if it were contiguous."""

    def backward(self, saved, do):
        return super().backward(saved, from_memory(do, packed(do)))
