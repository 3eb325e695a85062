"""Warming up and taking samples: the whole truth of what one number is.

A sample is the mean wall-clock time of `calls` calls. Each is clocked by itself and waited for; before each, outside the
clock, its inputs get other values. On a device with a queue the calls of a sample share one pair of clock readings and one
synchronisation at the end, so that the queue stays filled. Garbage collection is off while the clock runs.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

MAX_CALLS = 100_000


class Target(Protocol):
    """What is timed."""

    queued: bool
    """Whether a call only enqueues work on a device."""

    def next_call(self) -> Callable[[], Any]:
        """The call with other values in its inputs."""

    def wait(self, result: Any) -> None:
        """Return when a result has been computed."""

    def finished(self, result: Any) -> None:
        """Look at what a call, or the last of a queue, gave. Raises for what no call may return."""


def sample(target: Target, calls: int) -> float:
    """The mean time of `calls` calls, in seconds."""
    if target.queued:
        return _sample_of_a_queue(target, calls)
    clock, wait, total_s, result = time.perf_counter, target.wait, 0.0, None
    for _ in range(calls):
        result = None  # As free as a caller's own loop leaves it, when the next call begins.
        call = target.next_call()
        start = clock()
        result = call()
        wait(result)
        total_s += clock() - start
        target.finished(result)
    return total_s / calls


def _sample_of_a_queue(target: Target, calls: int) -> float:
    clock, call, result = time.perf_counter, target.next_call(), None
    start = clock()
    for _ in range(calls):
        result = call()
    target.wait(result)
    total_s = clock() - start
    target.finished(result)
    return total_s / calls


@dataclass(frozen=True)
class WarmUp:
    """How a callable was brought to its steady state."""

    calls: int
    call_s: float
    """Seconds a call, the median of the last window."""
    steady: bool
    """Whether it was seen to be steady, and was not only out of time."""


WINDOW = 6
"""Samples that are compared with as many before them."""

BETWEEN = 20
"""How much longer warming up may take than the calls that it may make."""

STEADY = 0.05
"""How far the quartiles of two windows may lie apart, as in pyperf."""


def warm_up(target: Target, sample_s: float, at_most_s: float) -> WarmUp:
    """Sample until the quartiles of the last `WINDOW` samples are those of the window before, within 5 %, or time is out.

    Samples grow until one lasts `sample_s` / `WINDOW`; a slow implementation is called once. Time is out, too, where what
    lies between calls, such as writing gigabytes of other inputs, has taken `BETWEEN` times as long.
    """
    until = time.perf_counter() + BETWEEN * at_most_s
    calls, total, spent_s = 1, 0, 0.0
    times: list[float] = []
    while True:
        call_s = sample(target, calls)
        total += calls
        spent_s += call_s * calls
        if call_s * calls < sample_s / WINDOW and calls < MAX_CALLS:
            calls, times = 2 * calls, []
        else:
            times.append(call_s)
        if is_steady(times) or spent_s >= at_most_s or time.perf_counter() > until:
            return WarmUp(total, statistics.median(times[-WINDOW:] or [call_s]), is_steady(times))


def is_steady(times: list[float]) -> bool:
    """Whether the last two windows of samples have the same quartiles within 5 %."""
    if len(times) < 2 * WINDOW:
        return False
    before, after = (statistics.quantiles(window, n=4) for window in (times[-2 * WINDOW : -WINDOW], times[-WINDOW:]))
    return all(abs(one - two) <= STEADY * two for one, two in zip(before, after, strict=True))


def calls_per_sample(call_s: float, sample_s: float) -> int:
    """How many calls make a sample of at least `sample_s`."""
    return max(1, min(MAX_CALLS, math.ceil(sample_s / max(call_s, 1e-9))))


@dataclass(frozen=True)
class Pace:
    """How a callable is sampled, as warming up has found it."""

    calls: int
    """Calls in a sample."""
    call_s: float
    """Seconds from one call to the next."""

    def samples(self, turn_s: float) -> int:
        """How many samples fill a turn."""
        return max(1, round(turn_s / max(self.call_s * self.calls, 1e-9)))

    def thrown_away(self, samples: int) -> int:
        """Samples that begin a turn of so many and do not count: one, unless a call is long."""
        return int(samples > 1 or self.call_s * self.calls <= LONG_S)


LONG_S = 0.1
"""A sample that takes longer is not taken for nothing. The caches are filled anew in less, and so is memory that the host of
a virtual machine has taken back meanwhile."""


def take_turn(target: Target, pace: Pace, samples: int) -> tuple[float, ...]:
    """So many samples, one after the other.

    Others have run since the last turn and the caches are theirs: a sample is taken and thrown away first.
    """
    gc.collect()
    gc.disable()
    try:
        for _ in range(pace.thrown_away(samples)):
            sample(target, pace.calls)
        return tuple(sample(target, pace.calls) for _ in range(samples))
    finally:
        gc.enable()
