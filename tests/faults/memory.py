"""Faults with where arrays lie: strides of zero or below, the start of a buffer, inputs written to for a moment, outputs
that are not new."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault
from tests.faults.strides import from_memory, packed
from tests.faults.threads import Meeting


@fault
class StrideOfZeroTakenForPacked(Attention):
    """A stride of zero is taken for that of a packed array: what is read beyond the elements that exist is zero here."""

    def read(self, x):
        if 0 not in x.strides:
            return super().read(x)
        elements = x[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in x.strides)]
        packed_up = np.zeros(x.size, x.dtype)
        packed_up[: elements.size] = elements.reshape(-1)
        return super().read(packed_up.reshape(x.shape))


@fault
class NegativeStridesTakenAbsolute(Attention):
    """The sign of a stride is lost: an array stored backwards is read forwards."""

    def queries(self, q):
        return super().queries(self.forwards(q))

    def keys(self, k):
        return super().keys(self.forwards(k))

    def forwards(self, x):
        return x[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in x.strides)]


@fault
class StartRoundedDown(Attention):
    """The address of keys is rounded down to a multiple of 64 bytes, for aligned loads."""

    def keys(self, k):
        base, before = k.base, k.ctypes.data % 64 // k.itemsize
        if base is None or not k.flags.c_contiguous or before == 0 or base.nbytes < k.nbytes + 64:
            return super().keys(k)
        start = (k.ctypes.data - base.ctypes.data) // k.itemsize - before
        flat = base.reshape(-1) if base.flags.c_contiguous else None
        moved = None if flat is None or start < 0 else flat[start : start + k.size].reshape(k.shape)
        return super().keys(k if moved is None else moved)


@fault
class OneArrayTakenForSymmetric(Attention):
    """Where q and k are the very same array, the product is taken for symmetric with a diagonal of ones."""

    def weights(self, q, k, mask, bias):
        p, slope = super().weights(q, k, mask, bias)
        return (p if self.one_array is False else np.where(np.eye(p.shape[-1], dtype=bool), 1, p)), slope

    def forward(self, q, k, v, mask=None, bias=None):
        self.one_array = q.ctypes.data == k.ctypes.data and q.size > 0
        return super().forward(q, k, v, mask, bias)


@fault
class FusedBufferReadAsOneTensor(Attention):
    """Where k begins a row of heads after q, as in a fused buffer, keys are read with the strides of a packed array."""

    def keys(self, k):
        return super().keys(k if self.distance != k.shape[1] * k.strides[1] else from_memory(k, packed(k)))

    def forward(self, q, k, v, mask=None, bias=None):
        self.distance = k.ctypes.data - q.ctypes.data if q.ctypes.data != k.ctypes.data else -1
        return super().forward(q, k, v, mask, bias)


class ForAMoment(Attention):
    """Not a fault by itself: an input is changed during the call, and is bit for bit what it was afterwards.

    Of two threads that call at once, both change it before either computes.
    """

    meeting = Meeting()

    def __init__(self, problem):
        super().__init__(problem)
        self.meeting.built_here()

    def forward(self, q, k, v, mask=None, bias=None):
        self.spoil(q, k, v, mask)
        self.meeting.wait()
        result = super().forward(q, k, v, mask, bias)
        self.meeting.wait()
        self.spoil(q, k, v, mask)
        return result


@fault
class QueryNegatedForAMoment(ForAMoment):
    """The sign is folded into the caller's q, and taken out again, exactly."""

    def spoil(self, q, k, v, mask):
        np.negative(q, out=q)

    def queries(self, q):
        return -super().queries(q)


@fault
class MaskInvertedForAMoment(ForAMoment):
    """The mask is inverted in the caller's array while it is used, and turned back."""

    def spoil(self, q, k, v, mask):
        if mask is not None:
            np.logical_not(mask, out=mask)

    def seen(self, mask):
        return super().seen(None if mask is None else ~mask)


@fault
class ValuesNegatedForAMoment(ForAMoment):
    """The sign of the caller's values is turned, and turned back."""

    def spoil(self, q, k, v, mask):
        np.negative(v, out=v)

    def values(self, v):
        return -super().values(v)


@fault
class OutputGradientNegatedForAMoment(Attention):
    """The sign of the caller's gradient of the output is turned, and turned back."""

    def backward(self, saved, do):
        np.negative(do, out=do)
        gradients = tuple(-x for x in super().backward(saved, do))
        np.negative(do, out=do)
        return gradients


@fault
class OutputInOneBuffer(Attention):
    """Every call writes into the array that the first returned."""

    def __init__(self, problem):
        super().__init__(problem)
        self.o = np.empty(problem.o_shape, self.dtype)

    def forward(self, q, k, v, mask=None, bias=None):
        self.o[...], saved = super().forward(q, k, v, mask, bias)
        return self.o, saved


@fault
class OutputIsTheValues(Attention):
    """With one key that all queries see the output is a view of its value."""

    def forward(self, q, k, v, mask=None, bias=None):
        o, saved = super().forward(q, k, v, mask, bias)
        single = self.problem.kv_len == 1 and self.problem.group == 1 and mask is None and bias is None
        return (np.broadcast_to(v, o.shape) if single and not self.problem.banded else o), saved


@fault
class GradientsInOneBuffer(Attention):
    """Every backward pass writes dq into the array that the first returned."""

    def __init__(self, problem):
        super().__init__(problem)
        self.dq = np.empty(problem.q_shape, self.dtype)

    def backward(self, saved, do):
        self.dq[...], dk, dv = super().backward(saved, do)
        return self.dq, dk, dv
