"""What the processor is asked to do as fast as it can, on one thread and on several: multiply and add, read, copy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from harness.frameworks.cache_lines import evict
from harness.measure.limits_messages import Rate
from harness.measure.together import Threads
from harness.operators.dtypes import DTYPES

MEMORY_BYTES = 2**26
"""Bytes for each thread that are read from memory or copied there: no thread does that in less than some milliseconds."""

_ALIGNMENT = 64
"""Bytes of a cache line and of the longest vector."""


@dataclass(frozen=True)
class Microbenchmark:
    """Work that each of some threads can do any number of times."""

    calls: Sequence[Callable[[int], Any]]
    """For each thread, what does its work so many times."""
    work: float
    """Of all threads for one time: floating-point operations, or bytes."""
    result: Callable[[int], Any] = lambda times: None
    """What each call returns, by the number of times."""
    cold: Sequence[np.ndarray] = ()
    """Arrays that must lie in memory, and in no cache: they are thrown out before, and the work is done once."""

    def seconds(self, threads: Threads, times: int) -> float:
        """The time for `times` times, all threads at once. Raises `RuntimeError` when they computed something else."""
        for array in self.cold:
            evict(array.ctypes.data, array.nbytes)
        seconds, results = threads.run([partial(call, times) for call in self.calls])
        if wrong := [found for found in results if found != self.result(times)]:
            raise RuntimeError(f"a microbenchmark computed {wrong[0]!r}, which should be {self.result(times)!r}")
        return seconds


class MultiplyAdds:
    """Multiply-adds in registers."""

    def __init__(self) -> None:
        from harness.frameworks.microbenchmarks import multiply_add

        self._kernel = multiply_add

    def missing(self) -> dict[str, str]:
        """Why some dtypes have none."""
        reasons = {dtype: self._kernel.unavailable_reason(dtype) for dtype in DTYPES}
        return {dtype: reason for dtype, reason in reasons.items() if reason}

    def microbenchmarks(self, threads: int) -> dict[Rate, Microbenchmark]:
        """One for each dtype."""
        return {Rate("peak", dtype, threads): self._one(dtype, threads) for dtype in DTYPES if dtype not in self.missing()}

    def _one(self, dtype: str, threads: int) -> Microbenchmark:
        call, result = partial(self._kernel.multiply_add, dtype), partial(self._kernel.products, dtype)
        return Microbenchmark([call] * threads, threads * 2 * result(1), result)


class MemoryTraffic:
    """Reading and copying arrays of ones."""

    def __init__(self) -> None:
        from harness.frameworks.microbenchmarks import read

        self._kernel = read
        self.step = read.BLOCK_BYTES

    def read(self, of: str, arrays: Sequence[Sequence[np.ndarray]], cold: bool = False) -> dict[Rate, Microbenchmark]:
        """For each thread some arrays, which it reads one after the other."""
        blocks = sum(array.nbytes for array in arrays[0]) // self.step

        def result(times: int) -> float:
            return float(times * blocks * self._kernel.PRODUCTS)

        calls = [partial(self._read, own) for own in arrays]
        work, out = len(arrays) * blocks * self.step, _all(arrays) if cold else ()
        return {Rate("read", of, len(arrays)): Microbenchmark(calls, work, result, out)}

    def _read(self, arrays: Sequence[np.ndarray], times: int) -> float:
        return sum(self._kernel.read(array, times * (array.nbytes // self.step)) for array in arrays)

    def copy(self, of: str, arrays: Sequence[Sequence[np.ndarray]], cold: bool = False) -> dict[Rate, Microbenchmark]:
        """The first half of each array to its second, by the C library's memmove; bytes read plus bytes written."""
        calls = [partial(_copy, own) for own in arrays]
        work = sum(array.nbytes for array in _all(arrays))
        return {Rate("copy", of, len(arrays)): Microbenchmark(calls, work, cold=_all(arrays) if cold else ())}


def _all(arrays: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    return [array for own in arrays for array in own]


def _copy(arrays: Sequence[np.ndarray], times: int) -> None:
    for _ in range(times):
        for array in arrays:
            half = array.size // 2
            np.copyto(array[half : 2 * half], array[:half])


def ones(bytes: int) -> np.ndarray:
    """An aligned array of float64 ones."""
    array = _empty(bytes)
    array.fill(1)
    return array


def _empty(bytes: int) -> np.ndarray:
    array = np.empty(bytes // 8 + _ALIGNMENT // 8)
    first = -array.ctypes.data % _ALIGNMENT // 8
    return array[first : first + bytes // 8]


def missing_rates(kind: str, reasons: Mapping[str, str], counts: Collection[int]) -> dict[Rate, str]:
    """The reasons, for each number of threads."""
    return {Rate(kind, of, count): reason for of, reason in reasons.items() for count in counts}
