"""Unit roundoffs and the error constants of sums, after Higham, Accuracy and Stability of Numerical Algorithms, ch. 3."""

from __future__ import annotations

import math
from dataclasses import dataclass

_STORAGE = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
_SMALLEST = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-24, "bfloat16": 2.0**-126}
_LARGEST = {"float64": 2.0**1023 * (2 - 2.0**-52), "float32": 2.0**127 * (2 - 2.0**-23)}

LAMBDA = 10.0
"""Of the probabilistic bound: an inner product exceeds it with probability at most 2 exp(-LAMBDA²/2) = 4e-22."""

EXP_ULPS = 4.0
"""Roundoffs granted to exp and tanh; the vectorised ones of the common libraries claim at most 4 ulp."""


@dataclass(frozen=True)
class Roundoff:
    """How coarsely a problem's dtype may be computed under the contract."""

    storage: float
    """u_s: of the problem's dtype, in which inputs, output and stored intermediates lie."""
    smallest: float
    """t_s: what underflow can lose when a value is stored or read: the spacing of float16's subnormals, elsewhere the
    smallest normal number, since processors may flush what lies below it to zero."""
    accumulator: float
    """u_a: of sums and scores, float32 unless the dtype is float64."""
    smallest_product: float
    """t_a: the same for a product in the accumulator's type."""
    largest_score: float
    """The largest number of the accumulator's type; a score beyond it is infinite there."""
    deterministic: bool
    """Whether sums get the worst-case constant. Half types do: their roundings are not zero-mean in fused kernels
    (Qiu and Yao 2025, arXiv 2510.04212), which the probabilistic constant assumes."""

    @classmethod
    def of(cls, dtype: str) -> Roundoff:
        storage, wide = _STORAGE[dtype], "float64" if dtype == "float64" else "float32"
        half = dtype in ("float16", "bfloat16")
        return cls(storage, _SMALLEST[dtype], _STORAGE[wide], _SMALLEST[wide], _LARGEST[wide], half)

    def gamma(self, n: int, u: float | None = None) -> float:
        """The constant g with |error| <= g Σ|x_i y_i| for an n-term inner product, in any order of summation.

        Worst case (1 + u)^n - 1, which is below Higham's n u / (1 - n u) and holds for any n; with zero-mean roundings
        expm1(λ √n u + n u² / (1 - u)) (Higham and Mary 2019).
        """
        u = self.accumulator if u is None else u
        worst = math.expm1(n * math.log1p(u))
        if self.deterministic:
            return worst
        return min(worst, math.expm1(LAMBDA * math.sqrt(n) * u + n * u * u / (1 - u)))
