"""Faults of rows with nothing to attend to."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class EmptyRowsAreNan(Attention):
    """A row with nothing to attend to divides zero by zero."""

    def total(self, e):
        return e.sum(axis=-1, keepdims=True)


@fault
class EmptyRowsAreNanUnlessMasked(Attention):
    """Only rows emptied by a boolean mask are made zero; those that causality or the window empties are nan."""

    def weights(self, q, k, mask, bias):
        p, slope = super().weights(q, k, mask, bias)
        outside = ~self.in_band().any(axis=-1, keepdims=True)
        return (np.where(outside, np.nan, p) if mask is None else p), slope


@fault
class EmptyRowsAreTheMean(Attention):
    """A row with nothing to attend to is the mean of all values."""

    def softmax(self, s):
        empty = (s == -np.inf).all(axis=-1, keepdims=True)
        return np.where(empty, 1 / max(1, s.shape[-1]), super().softmax(s)).astype(s.dtype)


@fault
class EmptyRowsAreTheFirstValue(Attention):
    """A row with nothing to attend to takes the first value: the index of the largest of equals."""

    def softmax(self, s):
        p = super().softmax(s)
        p[..., :1] += (s == -np.inf).all(axis=-1, keepdims=True)
        return p


@fault
class NoKeysIsNan(Attention):
    """Without any keys the output is nan."""

    def mixed(self, p, v):
        return super().mixed(p, v) if v.shape[2] else np.full(self.problem.o_shape, np.nan, self.wide)
