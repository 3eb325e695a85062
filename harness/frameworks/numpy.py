"""NumPy: the canonical arrays as they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.errors import Unavailable
from harness.frameworks.base import Framework, best_rate


class NumPy(Framework):
    """Threads belong to the BLAS underneath and are set by the environment."""

    def settings(self) -> dict[str, str]:
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return {**super().settings(), "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()}

    def matmul_rate(self, dtype: str, budget_s: float = 0.5) -> float:
        if dtype not in ("float64", "float32"):
            raise Unavailable(f"NumPy has no fast matrix product of {dtype}")
        random = np.random.default_rng(0)

        def product_of(n: int) -> Callable[[], np.ndarray]:
            a, b = random.random((2, n, n), np.dtype(dtype).type)
            return lambda: a @ b

        return best_rate(product_of, self.synchronize, budget_s)
