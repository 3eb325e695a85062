"""JAX."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness.errors import Unavailable
from harness.frameworks.base import DTYPES_IN_SHORT, Framework, Kernel
from harness.frameworks.differentiable import Differentiable
from harness.frameworks.xla import library_calls

_SHORT = {dtype: short for short, dtype in DTYPES_IN_SHORT.items()}


class Jax(Framework):
    """Committed arrays on one device; float64 is switched on, and float32 products stay float32 on any device."""

    modules = ("jax", "jaxlib")
    extra = "jax"
    smallest_buffer = 2**17

    @classmethod
    def environment(cls, device: str, threads: int) -> dict[str, str]:
        return {
            **super().environment(device, threads),
            "JAX_PLATFORMS": device,
            "JAX_ENABLE_X64": "1",
            "JAX_DEFAULT_MATMUL_PRECISION": "highest",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "NPROC": str(threads),  # The size of XLA's CPU thread pool.
        }

    @classmethod
    def keeps_memory(cls, device: str) -> bool:
        return device == "cuda"  # On the CPU the kernel's mark is read; JAX cannot reset its own.

    def __init__(self, device: str, threads: int):
        super().__init__(device, threads)
        import jax

        try:
            self._device = jax.devices(device)[0]
        except RuntimeError as error:
            raise Unavailable(f"this JAX build sees no {device} device: {error}") from None
        self._jax = jax
        self.asynchronous = device == "cuda"

    def settings(self) -> dict[str, str]:
        return {
            "jax": self._jax.__version__,
            "threads": str(self.threads),
            "matmul_precision": str(self._jax.config.jax_default_matmul_precision),
            "device": str(self._device),
            "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        }

    def from_numpy(self, array: np.ndarray) -> Any:
        return self._jax.block_until_ready(self._jax.device_put(np.array(array), self._device))

    def to_numpy(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def extent(self, array: Any) -> tuple[int, int]:
        return array.unsafe_buffer_pointer(), array.nbytes

    def synchronize(self, result: Any) -> None:
        self._jax.block_until_ready(result)

    def writer(self, count: int) -> Callable[[], None]:
        jax = self._jax
        kept = [self.from_numpy(np.zeros(count, np.uint8))]
        written = jax.jit(lambda x: x + 1, donate_argnums=0)  # In place, as far as the device can.

        def write() -> None:
            kept.append(jax.block_until_ready(written(kept.pop())))

        return write

    def differentiate(self, attention: Callable[..., Any]) -> Differentiable:
        jax = self._jax

        @jax.jit
        def forward(*operands: Any, **extras: Any) -> tuple[Any, Any]:
            return jax.vjp(lambda *given: attention(*given, **extras), *operands)

        @jax.jit
        def backward(pullback: Any, do: Any) -> tuple[Any, ...]:
            return pullback(do)

        return Differentiable(forward, backward)

    def kernels(self, call: Callable[[], Any]) -> Sequence[Kernel]:
        """Of the programs that are loaded, those whose result is that of the call."""
        first = self._jax.tree.leaves(call())[0]
        shape = f"{_SHORT[str(first.dtype)]}[{','.join(map(str, first.shape))}]"
        loaded = self._device.client.live_executables()
        programs = [module.to_string() for one in loaded for module in one.hlo_modules()]
        return library_calls(text for text in programs if shape in text.partition("\n")[0].rpartition("->")[2])

    def reset_peak_memory(self) -> None:
        """JAX cannot: `keeps_memory` says so, and each measurement has a process of its own."""

    def device_memory(self) -> tuple[int, int]:
        stats = self._device.memory_stats()
        if not stats:
            raise Unavailable("JAX reports no memory statistics for this device")
        return stats["bytes_in_use"], stats["peak_bytes_in_use"]
