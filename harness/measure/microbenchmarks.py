"""What the processor is asked to do as fast as it can, on one thread and on several: multiply and add, read, copy."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import psutil

from harness.measure.limits_messages import Rate
from harness.measure.together import Threads
from harness.operators.dtypes import DTYPES

FAR = 2
"""Memory is read from arrays that are together so many times as large as the last cache, and keep little in it."""

NEAR = 1.5
"""At least so many times: on Emerald Rapids the rate falls from 29 to 17 GB/s up to there, and stays the same beyond."""

LARGEST_SHARE = 8
"""These arrays take at most one in so many bytes of the memory that is available."""

FILL_S = 1.5
"""Seconds to fill these arrays; what is not filled by then is not used. A virtual machine that gets each page from its host
at the first touch was seen to take 3 s for a GiB, and 0.1 s the next time."""

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

    def seconds(self, threads: Threads, times: int) -> float:
        """The time for `times` times, all threads at once. Raises `RuntimeError` when they computed something else."""
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

    def read(self, of: str, arrays: Sequence[Sequence[np.ndarray]]) -> dict[Rate, Microbenchmark]:
        """For each thread some arrays, which it reads one after the other."""
        blocks = sum(array.nbytes for array in arrays[0]) // self.step

        def result(times: int) -> float:
            return float(times * blocks * self._kernel.PRODUCTS)

        calls = [partial(self._read, own) for own in arrays]
        return {Rate("read", of, len(arrays)): Microbenchmark(calls, len(arrays) * blocks * self.step, result)}

    def _read(self, arrays: Sequence[np.ndarray], times: int) -> float:
        return sum(self._kernel.read(array, times * (array.nbytes // self.step)) for array in arrays)

    def copy(self, of: str, arrays: Sequence[Sequence[np.ndarray]]) -> dict[Rate, Microbenchmark]:
        """The first half of each array to its second, by the C library's memmove; bytes read plus bytes written."""
        calls = [partial(_copy, own) for own in arrays]
        work = sum(array.nbytes for own in arrays for array in own)
        return {Rate("copy", of, len(arrays)): Microbenchmark(calls, work)}


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


def far_arrays(last_cache_bytes: int, threads: Threads, count: int, step: int) -> list[np.ndarray]:
    """`count` equal arrays of ones that are together far larger than the last cache, each filled by a thread.

    Empty where memory or time suffice for less than `NEAR` times the cache.
    """
    wanted = min(FAR * last_cache_bytes, psutil.virtual_memory().available // LARGEST_SHARE)
    arrays = [_empty(wanted // count // step * step) for _ in range(count)]
    deadline = time.perf_counter() + FILL_S
    filled = min(threads.run([partial(_fill, array, deadline) for array in arrays]).results) * 8 // step * step
    return [array[: filled // 8] for array in arrays] if count * filled >= NEAR * last_cache_bytes else []


def _fill(array: np.ndarray, deadline: float) -> int:
    """Write ones until the deadline; returns how many were written."""
    part = 2**20
    for first in range(0, array.size, part):
        if time.perf_counter() > deadline:
            return first
        array[first : first + part].fill(1)
    return array.size


def _empty(bytes: int) -> np.ndarray:
    array = np.empty(bytes // 8 + _ALIGNMENT // 8)
    first = -array.ctypes.data % _ALIGNMENT // 8
    return array[first : first + bytes // 8]


def missing_rates(kind: str, reasons: Mapping[str, str], counts: Collection[int]) -> dict[Rate, str]:
    """The reasons, for each number of threads."""
    return {Rate(kind, of, count): reason for of, reason in reasons.items() for count in counts}
