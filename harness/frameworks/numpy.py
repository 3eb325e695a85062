"""NumPy: the canonical arrays as they are."""

from __future__ import annotations

import numpy as np

from harness.errors import Unavailable
from harness.frameworks.base import Framework, best_rate


class NumPy(Framework):
    """Threads belong to the BLAS underneath and are set by the environment."""

    def matmul_rate(self, dtype: str) -> float:
        if dtype not in ("float64", "float32"):
            raise Unavailable(f"NumPy has no fast matrix product of {dtype}")
        n = 2048
        a, b = np.random.default_rng(0).standard_normal((2, n, n)).astype(dtype)
        return best_rate(lambda: a @ b, self.synchronize, n)
