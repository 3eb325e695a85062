"""Faults that one call does not show: state that is left behind for the next, of the same shape or another."""

import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault


@fault
class WrongFromThirdCall(Attention):
    """From the third call on the first key is forgotten: a counter runs over."""

    def __init__(self, problem):
        super().__init__(problem)
        self.calls = 0

    def forward(self, q, k, v, mask=None, bias=None):
        self.calls += 1
        return super().forward(q, k, v, mask, bias)

    def seen(self, mask):
        return super().seen(mask) & (np.arange(self.problem.kv_len) >= (self.calls > 2))


@fault
class WrongFromThirdCallInOneArray(WrongFromThirdCall):
    """From the third call on the first key is forgotten, and every call writes into the array that the first returned."""

    def __init__(self, problem):
        super().__init__(problem)
        self.o = np.empty(problem.o_shape, self.dtype)

    def forward(self, q, k, v, mask=None, bias=None):
        self.o[...], saved = super().forward(q, k, v, mask, bias)
        return self.o, saved


@fault
class OutputAddedToTheLast(Attention):
    """The output is kept between calls and added to, having been zeroed when it was allocated."""

    def __init__(self, problem):
        super().__init__(problem)
        self.o = np.zeros(problem.o_shape, self.wide)

    def mixed(self, p, v):
        self.o = self.o + super().mixed(p, v)
        return self.o


@fault
class OrderOfSumsChanges(Attention):
    """Tiles of keys are summed in the order in which they finish: equal calls differ in the last bits."""

    def __init__(self, problem):
        super().__init__(problem)
        self.calls = 0

    def mixed(self, p, v):
        self.calls += 1
        order = np.random.default_rng(self.calls).permutation(v.shape[2])
        return super().mixed(p[..., order], v[:, :, order])


@fault
class ResultCachedByShape(Attention):
    """The result is cached by shape, and new values do not count."""

    def __init__(self, problem):
        super().__init__(problem)
        self.results = {}

    def forward(self, q, k, v, mask=None, bias=None):
        if q.shape not in self.results:
            self.results[q.shape] = super().forward(q, k, v, mask, bias)
        return self.results[q.shape]


class KeptFromFirstCall(Attention):
    """Not a fault by itself: `kept(name, make)` computes a thing at the first call only."""

    def __init__(self, problem):
        super().__init__(problem)
        self.first = {}

    def kept(self, name, make):
        if name not in self.first:
            self.first[name] = make()
        return self.first[name]


@fault
class KeysPackedOnce(KeptFromFirstCall):
    """Keys are packed for the product at the first call, and the packing is used ever after."""

    def keys(self, k):
        return self.kept("keys", lambda: super(KeysPackedOnce, self).keys(k))


@fault
class MaskPreparedOnce(KeptFromFirstCall):
    """The mask is prepared at the first call, and later masks of the same shape are not looked at."""

    def seen(self, mask):
        return self.kept("seen", lambda: super(MaskPreparedOnce, self).seen(mask))


@fault
class BiasPreparedOnce(KeptFromFirstCall):
    """The bias is prepared at the first call, and later ones of the same shape are not looked at."""

    def biased(self, s, bias):
        return super().biased(s, bias if bias is None else self.kept("bias", bias.copy))


@fault
class WorkspaceOfTheLongest(Attention):
    """Rows of scores lie in a workspace as long as the longest so far, all of which the softmax runs over."""

    longest = 0

    @classmethod
    def forget(cls):
        cls.longest = 0

    def masked(self, s, mask):
        s = super().masked(s, mask)
        WorkspaceOfTheLongest.longest = max(self.longest, s.shape[-1])
        return np.pad(s, ((0, 0), (0, 0), (0, 0), (0, self.longest - s.shape[-1])))

    def softmax(self, s):
        return super().softmax(s)[..., : self.problem.kv_len]


@fault
class ConstantsOfTheLatestBuild(Attention):
    """Constants are global, and those of whatever was built last."""

    latest = None

    def __init__(self, problem):
        super().__init__(problem)
        ConstantsOfTheLatestBuild.latest = problem

    def band(self):
        return self.latest.band


@fault
class GradientsAddedToTheLast(Attention):
    """dk is kept between calls and added to, having been zeroed when it was allocated."""

    def __init__(self, problem):
        super().__init__(problem)
        self.dk = np.zeros(problem.k_shape, self.wide)

    def gathered(self, x):
        gathered = super().gathered(x)
        if x.shape[-1] != self.problem.head_dim:
            return gathered
        self.dk = self.dk + gathered
        return self.dk


@fault
class BackwardUsesUpWhatWasSaved(Attention):
    """The backward pass writes into the weights that the forward pass saved: a second one is wrong."""

    def value_gradient(self, saved, do):
        dv = super().value_gradient(saved, do)
        saved.p[...] *= 0.5
        return dv


@fault
class SavedByTheLatestForward(Attention):
    """What backward needs is global: a forward pass in between replaces it."""

    latest = None

    def forward(self, q, k, v, mask=None, bias=None):
        o, SavedByTheLatestForward.latest = super().forward(q, k, v, mask, bias)
        return o, None

    def backward(self, saved, do):
        return super().backward(self.latest, do)


@fault
class OneCallInFifty(Attention):
    """One call in fifty forgets the last key."""

    def __init__(self, problem):
        super().__init__(problem)
        self.calls = 0

    def forward(self, q, k, v, mask=None, bias=None):
        self.calls += 1
        return super().forward(q, k, v, mask, bias)

    def seen(self, mask):
        forgets = self.calls % 50 == 49
        return super().seen(mask) & (np.arange(self.problem.kv_len) < self.problem.kv_len - forgets)


@fault
class WrongFromTheHundredthCall(WrongFromThirdCall):
    """A counter of calls has seven bits, and runs over."""

    def seen(self, mask):
        return Attention.seen(self, mask) & (np.arange(self.problem.kv_len) >= (self.calls > 99))


@fault
class OneBackwardInFifty(Attention):
    """One backward pass in fifty leaves the row term out."""

    def __init__(self, problem):
        super().__init__(problem)
        self.calls = 0

    def row_term(self, p, dp):
        self.calls += 1
        return super().row_term(p, dp) * (self.calls % 50 != 49)


class Remembering(Attention):
    """Not a fault by itself: results are kept under `key(q, k, v)`."""

    def __init__(self, problem):
        super().__init__(problem)
        self.results = {}

    def forward(self, q, k, v, mask=None, bias=None):
        key = self.key(q, k, v)
        if key not in self.results:
            self.results[key] = super().forward(q, k, v, mask, bias)
        o, saved = self.results[key]
        return o.copy(), saved


@fault
class ResultCachedByAddress(Remembering):
    """The result is kept by where the arrays lie, and their values do not count."""

    def key(self, q, k, v):
        return q.ctypes.data, k.ctypes.data, v.ctypes.data


@fault
class ResultCachedBySums(Remembering):
    """The result is kept by a fingerprint: the sums of q, k and v."""

    def key(self, q, k, v):
        return tuple(float(np.sort(x.astype(np.float64), axis=None).sum()) for x in (q, k, v))


@fault
class ResultCachedByTheFirstRow(Remembering):
    """The result is kept by the first row of q, k and v."""

    def key(self, q, k, v):
        return tuple(x[:1, :1, :1].tobytes() for x in (q, k, v))


@fault
class ResultCachedWithoutTheMask(Remembering):
    """The result is kept by the values of q, k and v, and those of mask and bias do not count."""

    def key(self, q, k, v):
        return q.tobytes(), k.tobytes(), v.tobytes()
