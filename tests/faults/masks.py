"""Faults of boolean masks."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class MaskIgnored(Attention):
    """The boolean mask is accepted and ignored."""

    def seen(self, mask):
        return super().seen(None)


@fault
class MaskOfMinusTenThousand(Attention):
    """-1e4 is added where masked, which large scores outweigh."""

    def masked(self, s, mask):
        right = super().masked(s, mask)
        empty = (right == -np.inf).all(axis=-1, keepdims=True)
        return np.where(empty, right, s + np.where(self.seen(mask), 0, -1e4).astype(s.dtype))


@fault
class MaskAfterSoftmax(Attention):
    """Masked weights are set to zero after the softmax, and the others do not sum to one."""

    def weights(self, q, k, mask, bias):
        p, slope = super().weights(q, k, None, bias)
        return (p if mask is None else p * mask), slope


@fault
class MaskOfHeadZero(Attention):
    """The mask of head 0 is used for all heads."""

    def seen(self, mask):
        return super().seen(mask[..., :1, :, :] if mask is not None and mask.ndim >= 3 else mask)


@fault
class MaskOfFirstBatchElement(Attention):
    """The mask of the first batch element is used for all."""

    def seen(self, mask):
        return super().seen(mask[:1] if mask is not None and mask.ndim == 4 else mask)


@fault
class MaskOfFirstQuery(Attention):
    """The mask of the first query is used for all, as if it were one of padding."""

    def seen(self, mask):
        return super().seen(mask[..., :1, :] if mask is not None and mask.ndim >= 2 else mask)


@fault
class MaskTransposed(Attention):
    """A square mask is indexed (key, query)."""

    def seen(self, mask):
        square = mask is not None and mask.ndim >= 2 and mask.shape[-1] == mask.shape[-2]
        return super().seen(mask.swapaxes(-1, -2) if square else mask)


@fault
class MaskBroadcastFromWrongAxis(Attention):
    """A mask of three axes is taken for (batch, query, key)."""

    def seen(self, mask):
        return super().seen(mask[:, None] if mask is not None and mask.ndim == 3 else mask)


@fault
class PaddingOneTooLong(Attention):
    """The first key of the padding is still attended to."""

    def seen(self, mask):
        if mask is not None and self.problem.mask == "padding":
            mask = mask | np.pad(mask, ((0, 0), (0, 0), (0, 0), (1, 0)))[..., :-1]
        return super().seen(mask)
