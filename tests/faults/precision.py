"""Faults of precision: what is computed or kept more coarsely than the contract admits."""

import ml_dtypes
import numpy as np

from tests.faults.attention import Attention
from tests.faults.faulty import fault
from tests.faults.tiled import TiledAttention


def rounded(x, dtype):
    """x as it comes back from `dtype`."""
    return x.astype(dtype).astype(x.dtype)


def summed_in(dtype, terms, like):
    """The sum of `terms`, rounded to `dtype` after every addition."""
    total = np.zeros_like(like)
    for term in terms:
        total = rounded(total + term, dtype)
    return total


# --- half types --------------------------------------------------------------------------------------


@fault
class HalfAccumulation(Attention):
    """p v is summed in the half type of the inputs."""

    def mixed(self, p, v):
        exact = super().mixed(p, v)
        if self.dtype.itemsize > 2:
            return exact
        return summed_in(self.dtype, (p[..., j : j + 1] * v[:, :, j : j + 1] for j in range(v.shape[2])), exact)


@fault
class RowSumsInHalf(Attention):
    """The weights of a row are summed in the half type of the inputs, where 256 + 1 is 256."""

    def total(self, e):
        exact = super().total(e)
        if self.dtype.itemsize > 2:
            return exact
        total = summed_in(self.dtype, (e[..., j : j + 1] for j in range(e.shape[-1])), exact)
        return np.where(total == 0, 1, total)


@fault
class RunningOutputInHalf(TiledAttention):
    """The running output is stored in the half type of the inputs between tiles."""

    def new_output(self, o, shrink, e, v):
        return rounded(super().new_output(o, shrink, e, v), self.dtype)


@fault
class ScoresSummedInHalf(Attention):
    """q·k is summed in the half type of the inputs."""

    def scores(self, q, k):
        exact = super().scores(q, k)
        if self.dtype.itemsize > 2:
            return exact
        terms = (q[..., c : c + 1] * self.scale() * k[..., None, :, c] for c in range(q.shape[-1]))
        return summed_in(self.dtype, terms, exact)


@fault
class ProductsOverflowInHalf(Attention):
    """q·k is stored in the half type of the inputs before it is scaled."""

    def scores(self, q, k):
        return self.scale() * rounded(q @ k.swapaxes(-1, -2), self.dtype)


@fault
class GradientsSummedInHalf(Attention):
    """dk and dv are added up over the queries in the half type of the inputs."""

    def key_gradient(self, saved, ds):
        return self.scale() * self._over_queries(ds, saved.q, super().key_gradient(saved, ds))

    def value_gradient(self, saved, do):
        return self._over_queries(saved.p, do, super().value_gradient(saved, do))

    def _over_queries(self, weights, x, like):
        if self.dtype.itemsize > 2:
            return weights.swapaxes(-1, -2) @ x
        terms = (weights[..., i, :, None] * x[..., i : i + 1, :] for i in range(x.shape[2]))
        return summed_in(self.dtype, terms, like)


# --- float32 -----------------------------------------------------------------------------------------


@fault
class ScoresInBfloat16(Attention):
    """Scores are rounded to bfloat16, in every dtype."""

    def scores(self, q, k):
        return rounded(super().scores(q, k), ml_dtypes.bfloat16)


@fault
class ScoresInHalf(Attention):
    """Scores are rounded to float16 in a float32 problem."""

    def scores(self, q, k):
        s = super().scores(q, k)
        return rounded(s, np.float16) if self.problem.dtype == "float32" else s


@fault
class WeightsInBfloat16(Attention):
    """Weights are rounded to bfloat16 before they meet the values, in every dtype but float16."""

    def mixed(self, p, v):
        return super().mixed(p if self.problem.dtype == "float16" else rounded(p, ml_dtypes.bfloat16), v)


@fault
class OperandsInTensorFloat32(Attention):
    """Products of a float32 problem keep 10 bits of their operands, as tensor cores do unless told otherwise."""

    def scores(self, q, k):
        return super().scores(self._cut(q), self._cut(k))

    def mixed(self, p, v):
        return super().mixed(self._cut(p), self._cut(v))

    def _cut(self, x):
        if self.problem.dtype != "float32":
            return x
        return (np.ascontiguousarray(x).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


@fault
class ScaleInBfloat16(Attention):
    """The scale is a bfloat16 constant in a float32 problem; 1/4 survives it, 1/sqrt(40) does not."""

    def scale(self):
        return float(ml_dtypes.bfloat16(self.problem.scale)) if self.problem.dtype == "float32" else self.problem.scale


@fault
class ExpOfThreeTerms(Attention):
    """exp is 2 to the whole part times a parabola for the rest, good to three digits."""

    def softmax(self, s):
        power = (s - self.subtracted(s)) * np.log2(np.e).astype(s.dtype)
        whole = np.floor(np.where(power == -np.inf, 0, power))
        rest = power - whole
        e = np.where(power == -np.inf, 0, np.exp2(whole) * (1 + rest * (0.6565 + 0.3435 * rest)))
        return e / self.total(e)


@fault
class SmallWeightsDropped(Attention):
    """Weights below a thousandth are taken for zero."""

    def softmax(self, s):
        p = super().softmax(s)
        return np.where(p < 1e-3, 0, p)


# --- float64 -----------------------------------------------------------------------------------------


@fault
class Float64InFloat32(Attention):
    """A float64 problem is computed in float32."""

    def __init__(self, problem):
        super().__init__(problem)
        self.wide = np.float32


@fault
class Float64SumsInFloat32(Attention):
    """In a float64 problem the sum of a row's weights is float32."""

    def total(self, e):
        return rounded(super().total(e), np.float32)
