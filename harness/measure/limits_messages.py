"""What is asked of the sessions that measure the processor's limits, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from harness.records.limits import CacheLevel
from harness.workers.messages import Request


class Rate(NamedTuple):
    """Which rate a number is."""

    kind: str
    """ "peak" and "product" in FLOP/s, "read" and "copy" in bytes/s."""
    of: str
    """The dtype, the cache level, or "memory"."""
    threads: int


@dataclass(frozen=True)
class RatesMeasured:
    per_s: Mapping[Rate, float]
    missing: Mapping[Rate, str] = field(default_factory=dict)
    """Why some were not measured."""
    caches: tuple[CacheLevel, ...] = ()
    """The levels that were read from, without rates."""


@dataclass(frozen=True)
class MeasureRates(Request):
    """Measure every rate once more. Answered by `RatesMeasured` or `Failed`."""

    STEP: ClassVar[str] = "measuring the processor's limits"
    REPLY: ClassVar[type] = RatesMeasured

    rate_s: float
    """Seconds for each rate."""
