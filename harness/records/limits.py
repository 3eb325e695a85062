"""What the processor can do at most, as measured, and what follows for the time of a problem.

The model is the roofline (Williams, Waterman and Patterson, CACM 52(4), 2009): a computation takes at least the time of
its arithmetic at the highest rate, and at least the time to read its bytes. Limits are the processor's; a GPU has none here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MARGIN = 2.0
"""A time counts as impossible when it is below the least time by this factor.

The measurement may fall short of the processor: two runs on one kind of machine found 139 and 326 GFLOP/s for the same
product of float32 matrices.
"""

PRODUCTS = {
    "float64": {"float64": 1},
    "float32": {"float32": 1, "bfloat16": 3},
    "float16": {"float16": 1, "float32": 1, "bfloat16": 3},
    "bfloat16": {"bfloat16": 1, "float32": 1},
}
"""For a product of two numbers: the dtypes that it may be computed in, and how many products it then takes.

Half precision is often converted to float32. A number may be split into a sum of bfloat16 numbers, three of whose products
come close to float32's precision (Henry, Tang and Heinecke, ARITH 2019); matrix units make that faster.
"""

MOST_FOREIGN = 0.2
"""Share of the processors that others may have used while the limits were measured; beyond it there is no `floor_s`.

With 0.4 to 0.6 on two CPUs, rates of two threads were seen at half of what they are.
"""

Rates = Mapping[int, float]
"""A rate a second, by the number of threads."""


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """Multiply-adds in one dtype, in FLOP/s by the number of threads. A multiply-add counts as two operations."""

    dtype: str
    peak_flops_per_s: Rates = field(default_factory=dict)
    """Of a kernel that multiplies and adds in registers; empty where there is no kernel for the processor and dtype."""
    product_flops_per_s: Rates = field(default_factory=dict)
    """Of the fastest library's large matrix product."""

    def __post_init__(self) -> None:
        _check_rates(self.peak_flops_per_s, self.product_flops_per_s)

    def flops_per_s(self, threads: int) -> float:
        """The larger of the two with at most `threads` threads; 0 if neither was measured."""
        return max(_highest(self.peak_flops_per_s, threads), _highest(self.product_flops_per_s, threads))


@dataclass(frozen=True, kw_only=True)
class CacheLevel:
    """A level of the data cache."""

    name: str
    """Such as "L2"."""
    bytes: int
    """Of one instance."""
    instances: int = 1
    """Instances that the threads of a run have between them: as many as cores where each core has its own."""
    read_bytes_per_s: Rates = field(default_factory=dict)
    """Reading what lies in it. Empty where it could not be told from the level before."""

    def __post_init__(self) -> None:
        _check_rates(self.read_bytes_per_s)

    def capacity(self, threads: int) -> int:
        """Bytes that `threads` threads can have in it."""
        return self.bytes * min(threads, self.instances)


class Nearest(NamedTuple):
    """How close a time comes to the limit that would take longer."""

    percentage: float
    which: str
    """ "arithmetic" or "bytes"."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What was measured, with one thread and with `threads`."""

    threads: int
    arithmetic: tuple[Arithmetic, ...] = ()
    caches: tuple[CacheLevel, ...] = ()
    """The fastest level first."""
    memory_read_bytes_per_s: Rates = field(default_factory=dict)
    memory_copy_bytes_per_s: Rates = field(default_factory=dict)
    """Bytes read plus bytes written."""
    foreign_share: float = 0.0
    """Share of the machine's processors that other processes used meanwhile; 0 where the system does not tell."""
    warnings: tuple[str, ...] = ()
    """What could not be measured, and why; that others used the processors."""

    def __post_init__(self) -> None:
        _check_rates(self.memory_read_bytes_per_s, self.memory_copy_bytes_per_s)

    def flops_per_s(self, dtype: str, threads: int) -> float | None:
        """The highest rate at which a problem in `dtype` can be computed, in any dtype of `PRODUCTS`.

        None where the dtype itself was not measured, or not with so many threads.
        """
        measured = {one.dtype: one.flops_per_s(threads) for one in self.arithmetic}
        if not self._measured_with(threads) or not measured.get(dtype):
            return None
        return max(measured.get(other, 0.0) / products for other, products in PRODUCTS.get(dtype, {dtype: 1}).items())

    def read_s(self, bytes: float, threads: int, cold: bool = False) -> float | None:
        """The least time to read `bytes` once, in seconds. None where nothing was measured with so many threads.

        Calls are timed one after the other on the same arrays, which may lie in a cache since the call before. The bytes
        are counted as if each level held as many as fit: the first at the rate of the fastest level, what has no room there
        at the rate of the next. That grows steadily with the bytes. All of them at the rate of the level that they fit in
        as a whole would be too slow for arrays a little larger than a level, most of which may still lie in it.

        With `cold` caches all of them are read at the rate of memory, or of the last level where that is not known.
        """
        if not self._measured_with(threads) or not any(rates := self._read_rates(threads)):
            return None
        if cold:
            return bytes / next(rate for rate in reversed(rates) if rate)
        capacities = [*(level.capacity(threads) for level in self.caches), math.inf]
        seconds, left, rate = 0.0, bytes, math.inf
        for number, capacity in enumerate(capacities):
            # A level whose rate is unknown is taken to be as fast as the one before; none is slower than those behind it.
            rate = max(rates[number:]) if rates[number] else rate
            part = min(left, capacity)
            seconds, left = seconds + part / rate, left - part
        return seconds

    def floor_s(self, flops: float, bytes: float, dtype: str, threads: int) -> float | None:
        """Seconds below which a time is impossible, by a cautious reckoning.

        None where the dtype was not measured, or others used much of the machine meanwhile.

        Args:
            flops: floating-point operations that the problem cannot do without.
            bytes: bytes of inputs and output that must be read or written.
            dtype: of the inputs and the output.
            threads: threads that compute it.
        """
        rate, read_s = self.flops_per_s(dtype, threads), self.read_s(bytes, threads)
        if rate is None or self.foreign_share > MOST_FOREIGN:
            return None
        return max(flops / rate, read_s or 0.0) / MARGIN

    def nearest(
        self, flops: float, bytes: float, dtype: str, threads: int, time_s: float, cold: bool = False
    ) -> Nearest | None:
        """The limit that would take longer, and its least time as a percentage of `time_s`; arguments as of `floor_s`.

        Without the margin of `floor_s`. Above 100 where the calibration fell short of what the processor can do.
        """
        rate, read_s = self.flops_per_s(dtype, threads), self.read_s(bytes, threads, cold)
        if rate is None:
            return None
        arithmetic = Nearest(100 * flops / rate / time_s, "arithmetic")
        return max(arithmetic, Nearest(100 * (read_s or 0.0) / time_s, "bytes"), key=lambda limit: limit.percentage)

    def to_json(self) -> dict[str, Any]:
        """Plain values; numbers of threads are strings, as JSON's names are."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Limits:
        """The limits that `to_json` wrote; what a later version has added is left out."""
        values = _known(cls, data)
        values["arithmetic"] = tuple(Arithmetic(**_known(Arithmetic, one)) for one in data.get("arithmetic", ()))
        values["caches"] = tuple(CacheLevel(**_known(CacheLevel, one)) for one in data.get("caches", ()))
        values["warnings"] = tuple(data.get("warnings", ()))
        return cls(**values)

    def _measured_with(self, threads: int) -> bool:
        return threads in (1, self.threads)

    def _read_rates(self, threads: int) -> list[float]:
        """Of each level and of memory; 0 where it was not measured."""
        measured = [*(level.read_bytes_per_s for level in self.caches), self.memory_read_bytes_per_s]
        return [_highest(rates, threads) for rates in measured]


def _highest(rates: Rates, threads: int) -> float:
    """More threads may do the work of fewer: the highest rate with at most so many."""
    return max((rate for count, rate in rates.items() if count <= threads), default=0.0)


def _check_rates(*all_rates: Rates) -> None:
    for rates in all_rates:
        if not all(count > 0 and 0 < rate < math.inf for count, rate in rates.items()):
            raise ValueError(f"every rate is a positive number for a positive number of threads, not {dict(rates)}")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _known(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record as its class wants them."""
    known = {one.name for one in dataclasses.fields(cls)}
    values = {name: value for name, value in data.items() if name in known}
    return {
        name: {int(count): rate for count, rate in value.items()} if name.endswith("_per_s") else value
        for name, value in values.items()
    }
