"""The processor's limits, measured in workers: by kernels of our own, and by a library's matrix product."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.errors import Unavailable, describe
from harness.frameworks import adapter
from harness.frameworks.cache_lines import unavailable_reason
from harness.measure.caches import cache_levels, typical_levels, working_sets
from harness.measure.limits_messages import MeasureRates, Rate, RatesMeasured
from harness.measure.microbenchmarks import (
    MEMORY_BYTES,
    MemoryTraffic,
    Microbenchmark,
    MultiplyAdds,
    missing_rates,
    ones,
)
from harness.measure.together import Threads
from harness.operators.dtypes import DTYPES
from harness.workers.messages import Request

BURST_S = 0.003
"""Least length of what is timed: long against starting threads (0.1 ms), and short against the time for which a processor
that others use too is ours (some ms)."""


class MicrobenchmarkSession:
    """Kernels of our own, with one thread and with as many as are given."""

    def __init__(self, threads: int):
        self._threads = Threads(threads)
        self._counts = sorted({1, threads})
        self._missing: dict[Rate, str] = {}
        self._times: dict[Rate, int] = {}
        cpus = os.sched_getaffinity(0)
        self._caches = cache_levels(cpus) or typical_levels(cpus)
        self._microbenchmarks = {**self._arithmetic(), **self._cache_reads(), **self._memory(threads)}

    @property
    def ready(self) -> None:
        """Nothing to say."""

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {MeasureRates: self.measure}

    def measure(self, request: MeasureRates) -> RatesMeasured:
        """Each rate, the best of some bursts of work."""
        per_s = {rate: self._best(rate, request.rate_s) for rate in self._microbenchmarks}
        return RatesMeasured(per_s, self._missing, self._caches)

    def _best(self, rate: Rate, rate_s: float) -> float:
        one, end = self._microbenchmarks[rate], time.perf_counter() + rate_s
        times = self._times[rate] = self._times.get(rate) or self._times_of_a_burst(one)
        best_s = one.seconds(self._threads, times)
        while time.perf_counter() + best_s < end:
            best_s = min(best_s, one.seconds(self._threads, times))
        return one.work * times / best_s

    def _times_of_a_burst(self, one: Microbenchmark) -> int:
        """How often the work fits into a burst. The first time compiles, and is not counted."""
        times = 1
        one.seconds(self._threads, times)
        while not one.cold and (took_s := one.seconds(self._threads, times)) < BURST_S:
            times = math.ceil(times * min(16, 1.2 * BURST_S / took_s))
        return times

    def _arithmetic(self) -> dict[Rate, Microbenchmark]:
        kernels = MultiplyAdds()
        self._missing |= missing_rates("peak", kernels.missing(), self._counts)
        return {rate: one for count in self._counts for rate, one in kernels.microbenchmarks(count).items()}

    def _cache_reads(self) -> dict[Rate, Microbenchmark]:
        kernels = MemoryTraffic()
        found: dict[Rate, Microbenchmark] = {}
        for count in self._counts:
            sets = working_sets(self._caches, count, kernels.step)
            for level in self._caches:
                if level.name in sets:
                    found |= kernels.read(level.name, [[ones(sets[level.name])] for _ in range(count)])
                else:
                    reason = f"a thread of {count} has too little of it beyond the level before"
                    self._missing[Rate("read", level.name, count)] = reason
        return found

    def _memory(self, threads: int) -> dict[Rate, Microbenchmark]:
        kernels = MemoryTraffic()
        if reason := unavailable_reason():
            self._missing |= {Rate(kind, "memory", count): reason for kind in ("read", "copy") for count in self._counts}
            return {}
        arrays = [ones(MEMORY_BYTES) for _ in range(threads)]
        found: dict[Rate, Microbenchmark] = {}
        for shares in ([arrays], [[array] for array in arrays]):  # All for one thread, then one for each.
            found |= kernels.read("memory", shares, cold=True) | kernels.copy("memory", shares, cold=True)
        return found


class ProductSession:
    """A library's large matrix products, with several numbers of threads one after the other."""

    def __init__(self, framework: str, counts: Sequence[int]):
        self._adapter = adapter(framework)
        self._counts = counts
        self._settings = self._adapter("cpu", max(counts)).settings()

    @property
    def ready(self) -> Any:
        """Versions and settings."""
        return self._settings

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {MeasureRates: self.measure}

    def measure(self, request: MeasureRates) -> RatesMeasured:
        """The rate in each dtype."""
        per_s, missing = {}, {}
        for count in self._counts:
            framework = self._adapter("cpu", count)
            for dtype in DTYPES:
                rate = Rate("product", dtype, count)
                try:
                    per_s[rate] = framework.matmul_rate(dtype, request.rate_s)
                except Exception as error:  # A library may raise anything for a dtype that it cannot multiply.
                    missing[rate] = str(error) if isinstance(error, Unavailable) else describe(error)
        return RatesMeasured(per_s, missing)
