"""Faults of the bias."""

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class BiasIgnored(Attention):
    """The bias is accepted and ignored."""

    def biased(self, s, bias):
        return s


@fault
class BiasIgnoredUnderMask(Attention):
    """The bias is added only where there is no boolean mask."""

    def weights(self, q, k, mask, bias):
        return super().weights(q, k, mask, bias if mask is None else None)


@fault
class BiasSubtracted(Attention):
    """The bias is subtracted."""

    def biased(self, s, bias):
        return s if bias is None else s - self.read(bias)


@fault
class BiasScaled(Attention):
    """The bias is added before the scale."""

    def biased(self, s, bias):
        return s if bias is None else s + self.scale() * self.read(bias)


@fault
class BiasBlocksAsAMask(Attention):
    """A bias is cast to bool and taken for a mask."""

    def weights(self, q, k, mask, bias):
        if bias is not None:
            mask = bias.astype(bool) if mask is None else mask & bias.astype(bool)
        return super().weights(q, k, mask, None)


@fault
class BiasBroadcastFromWrongAxis(Attention):
    """A bias of three axes is taken for (batch, query, key)."""

    def biased(self, s, bias):
        return super().biased(s, bias[:, None] if bias is not None and bias.ndim == 3 else bias)


@fault
class BiasOfHeadZero(Attention):
    """The bias of head 0 is used for all heads."""

    def biased(self, s, bias):
        return super().biased(s, bias[..., :1, :, :] if bias is not None and bias.ndim >= 3 else bias)


@fault
class BiasOfFirstQuery(Attention):
    """The bias of the first query is used for all: its row is read as a bias of keys."""

    def biased(self, s, bias):
        return super().biased(s, bias[..., :1, :] if bias is not None and bias.ndim >= 2 else bias)
