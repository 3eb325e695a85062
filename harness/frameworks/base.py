"""What the harness must know of an array library, and nothing else.

The class can be asked things in any process (is it installed, which environment does it want); an instance exists only
in a worker, and making one imports the framework.
"""

from __future__ import annotations

import functools
import glob
import importlib.metadata
import importlib.util
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from harness.frameworks.differentiable import Differentiable

SIMULATOR = "NUMBA_ENABLE_CUDASIM"


class Unavailable(RuntimeError):
    """The framework or its device cannot be used here; the message is the reason."""


class NoGradients(NotImplementedError):
    """The framework has no automatic differentiation."""


def cuda_devices() -> int:
    """CUDA devices that the driver shows, counted without importing or initialising anything."""
    return len(glob.glob("/dev/nvidia[0-9]*"))


DTYPES_IN_SHORT = {"f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16"}
"""As oneDNN, XLA and OpenVINO write them."""


class Kernel(NamedTuple):
    """What a library says that it ran."""

    name: str
    dtype: str = ""
    """What it computed in; "" where that is not said."""


MOST = 0.05
"""Share of the time from which a kernel is told of."""


def most_of(times: Mapping[Kernel, float]) -> list[Kernel]:
    """The kernels that took a twentieth of the time at least, the longest first."""
    total = sum(times.values())
    return [kernel for kernel, took in sorted(times.items(), key=lambda one: -one[1]) if took >= MOST * total > 0]


class Framework:
    """NumPy-like defaults: arrays are NumPy's, calls are synchronous, there are no gradients."""

    modules: ClassVar[Sequence[str]] = ("numpy",)
    """Importable names that must exist, the one that gives the version first."""
    extra: ClassVar[str] = ""
    """The extra of this distribution that installs it; empty for the core."""
    smallest_buffer: ClassVar[int] = 1024
    """Bytes of the smallest buffer that a callable keeps; the graph and tables of a compiled one are in smaller pieces."""
    asynchronous: bool = False
    """Whether calls only enqueue work on a device, so that several may share one synchronisation."""

    # --- asked before the framework is imported ------------------------------------------------------

    @classmethod
    def unavailable(cls, device: str) -> str | None:
        """Why the framework or the device is not on this machine, or None. Imports nothing."""
        for module in cls.modules:
            if importlib.util.find_spec(module) is None:
                hint = f"; install it with pip install 'attention-harness[{cls.extra}]'" if cls.extra else ""
                return f"{module} is not installed{hint}"
        if device == "cuda" and not cuda_devices():
            return "needs a CUDA device, and this machine shows none"
        return None

    @classmethod
    def environment(cls, device: str, threads: int) -> dict[str, str]:
        """Environment variables that must stand before the import, for `threads` threads on `device`."""
        pools = ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB", "NUMEXPR", "NUMBA")
        variables = {f"{pool}_NUM_THREADS": str(threads) for pool in pools}
        if device == "cpu":
            variables["CUDA_VISIBLE_DEVICES"] = ""
        return variables

    @classmethod
    def memory_environment(cls, device: str) -> dict[str, str]:
        """Further variables for the process that measures memory, so that its allocator keeps nothing that is freed."""
        return {}

    @classmethod
    def keeps_memory(cls, device: str) -> bool:
        """Whether freed memory stays with its allocator, or its high-water mark cannot be reset.

        What one problem took would then hide what the next one takes: each is weighed in a process of its own, against
        that process before its first call.
        """
        return False

    @classmethod
    def version(cls) -> str:
        """The installed version, read from the distribution's metadata without importing it."""
        try:
            return importlib.metadata.version(cls.modules[0])
        except importlib.metadata.PackageNotFoundError:
            return "unknown"

    # --- in the worker -------------------------------------------------------------------------------

    def __init__(self, device: str, threads: int):
        """Import the framework and set its threads. Raises `Unavailable` when the device cannot be used."""
        self.device = device
        self.threads = threads

    @functools.cached_property
    def array_type(self) -> type:
        """The class of native arrays, which a call must return: a subclass may put its work off."""
        return type(self.from_numpy(np.zeros(1, np.float32)))

    def settings(self) -> dict[str, str]:
        """Version and fairness settings as they really are, for the record."""
        return {self.modules[0]: self.version(), "threads": str(self.threads)}

    def from_numpy(self, array: np.ndarray) -> Any:
        """A native array on the device with the same values; it may share memory."""
        return array

    def to_numpy(self, array: Any) -> np.ndarray:
        """The values of a native array, in its own dtype (ml_dtypes' for bfloat16)."""
        return np.asarray(array)

    def memory(self, array: Any) -> tuple[int, tuple[int, ...]] | None:
        """(address, strides in bytes) of a native array; None where the framework's arrays have none that a caller sets."""
        return (array.ctypes.data, array.strides) if isinstance(array, np.ndarray) else None

    def extent(self, array: Any) -> tuple[int, int]:
        """(address, bytes) of where a native array lies in the memory of the processor."""
        first, end = np.lib.array_utils.byte_bounds(array)
        return first, end - first

    def synchronize(self, result: Any) -> None:
        """Return when `result` has been computed."""

    def writer(self, count: int) -> Callable[[], None]:
        """What writes `count` bytes of the device's memory when it is called, and returns when they are written."""
        other = np.zeros(count, np.uint8)
        return lambda: self.synchronize(self.from_numpy(other))

    def differentiate(self, attention: Callable[..., Any]) -> Differentiable:
        """The backward pass of a callable by the framework's own means. Raises `NoGradients` without any."""
        raise NoGradients(f"{self.modules[0]} has no automatic differentiation")

    def kernels(self, call: Callable[[], Any]) -> Sequence[Kernel]:
        """What the library says that a call runs, the longest first; nothing where it does not say."""
        return ()

    def matmul_rate(self, dtype: str, budget_s: float = 0.5) -> float:
        """FLOP/s of a large square matrix product in `dtype`, the best of those made in about `budget_s` seconds.

        Raises `Unavailable` without one.
        """
        raise Unavailable(f"{self.modules[0]} has no matrix product of {dtype} to measure")

    def reset_peak_memory(self) -> None:
        """Forget the device's high-water mark. Raises `Unavailable` where the framework cannot tell."""
        raise Unavailable(f"{self.modules[0]} does not report device memory")

    def device_memory(self) -> tuple[int, int]:
        """(bytes in use now, bytes at the high-water mark) on the device."""
        raise Unavailable(f"{self.modules[0]} does not report device memory")


SIZES = (256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
"""Of the matrices whose product is timed. Which one is fastest depends on the library and the processor."""


def best_rate(product_of: Callable[[int], Callable[[], Any]], synchronize: Callable[[Any], None], budget_s: float) -> float:
    """FLOP/s of the fastest product of two n x n matrices that is found in about `budget_s` seconds.

    The three largest sizes whose product takes at most a quarter of the time have turns: a short product is not the fastest
    that there is, and a long one is more often disturbed by other processes.

    Args:
        product_of: gives, for n, what multiplies two such matrices.
        synchronize: returns when a product has been computed.
        budget_s: seconds, the making of the matrices included.
    """
    deadline, best, turn = time.perf_counter() + budget_s, 0.0, 0
    larger, products = list(SIZES), []
    while not best or time.perf_counter() < deadline:
        if larger and (not best or 2 * larger[0] ** 3 / best < budget_s / 4):
            n, product = larger[0], product_of(larger.pop(0))
            products.append((n, product))
            synchronize(product())  # The first of a size starts threads and allocates.
        else:
            n, product = products[-3:][turn % len(products[-3:])]
            turn += 1
        start = time.perf_counter()
        synchronize(product())
        best = max(best, 2 * n**3 / (time.perf_counter() - start))
    return best


def simulating() -> bool:
    """Whether Numba's CUDA simulator is switched on; it stands in for a device when checking, never when timing."""
    return os.environ.get(SIMULATOR, "0") == "1"
