"""Numba: NumPy arrays on the CPU, device arrays on CUDA."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.errors import Unavailable
from harness.frameworks.base import SIMULATOR, Framework, cuda_devices, simulating


class Numba(Framework):
    """Compiled loops over NumPy arrays."""

    modules = ("numba",)

    def __init__(self, device: str, threads: int):
        super().__init__(device, threads)
        import numba

        numba.set_num_threads(threads)
        self._numba = numba

    def settings(self) -> dict[str, str]:
        try:
            layer = self._numba.threading_layer()
        except ValueError:  # Nothing parallel has run yet.
            layer = "not used"
        from llvmlite import binding

        processor = self._numba.config.CPU_NAME or binding.get_host_cpu_name()
        return {**super().settings(), "threading_layer": layer, "compiled_for": processor}


def _nothing(_: Any) -> None:
    """A kernel, to see whether any can be compiled."""


class NumbaCuda(Framework):
    """CUDA kernels written in Python; `NUMBA_ENABLE_CUDASIM=1` runs them in the simulator, for checking only."""

    modules = ("numba",)
    extra = "cuda"
    asynchronous = True

    @classmethod
    def unavailable(cls, device: str) -> str | None:
        if simulating():
            return None if importlib.util.find_spec("numba") else "numba is not installed"
        reason = super().unavailable(device)
        hint = f"; {SIMULATOR}=1 lets `harness check` run it in Numba's simulator"
        return reason + hint if reason and cuda_devices() == 0 else reason

    def __init__(self, device: str, threads: int):
        super().__init__(device, threads)
        from numba import cuda

        if not cuda.is_available():
            raise Unavailable("numba finds no CUDA device or no CUDA toolkit; install 'attention-harness[cuda]'")
        try:
            cuda.jit(_nothing)[1, 1](cuda.to_device(np.zeros(1, np.float32)))
        except AttributeError as error:  # numba-cuda 0.30 asks NumPy 2.5 for what it has no more.
            reason = f"numba-cuda does not work with NumPy {np.__version__}: {error}; install 'attention-harness[cuda]'"
            raise Unavailable(reason) from None
        self._cuda = cuda

    def from_numpy(self, array: np.ndarray) -> Any:
        return self._cuda.to_device(np.ascontiguousarray(array))

    def to_numpy(self, array: Any) -> np.ndarray:
        return array.copy_to_host()

    def writer(self, count: int) -> Callable[[], None]:
        zeros, other = (self._cuda.to_device(np.zeros(count, np.uint8)) for _ in range(2))

        def write() -> None:
            other.copy_to_device(zeros)
            self._cuda.synchronize()

        return write

    def synchronize(self, result: Any) -> None:
        self._cuda.synchronize()
