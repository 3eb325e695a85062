"""Warming up and taking samples: the whole truth of what one number is.

A sample is the mean wall-clock time of `calls` calls, each waited for; on a device with a queue the calls of a sample
share one synchronisation at its end. Garbage collection is off while the clock runs.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

STEADY = 0.95
"""Warm-up ends when a batch is no longer faster than this fraction of the one before it; pyperf's bound is 5 %."""

MAX_CALLS = 1_000_000


@dataclass(frozen=True)
class WarmUp:
    """How a callable was brought to its steady state."""

    calls: int
    call_s: float
    """Seconds a call in the last batch."""


class Sampled(NamedTuple):
    """One sample."""

    call_s: float
    """Seconds a call."""
    result: Any
    """What the last call gave."""


def sample(call: Callable[[], Any], wait: Callable[[Any], None], calls: int, queued: bool = False) -> Sampled:
    """The mean time of `calls` calls in a row."""
    clock = time.perf_counter
    result = None
    start = clock()
    if queued:
        for _ in range(calls):
            result = call()
        wait(result)
    else:
        for _ in range(calls):
            result = call()
            wait(result)
    return Sampled((clock() - start) / calls, result)


def warm_up(
    call: Callable[[], Any], wait: Callable[[Any], None], sample_s: float, at_most_s: float, queued: bool = False
) -> WarmUp:
    """Call in doubling batches until a batch of at least `sample_s` is no faster than the one before it.

    Ends early when `at_most_s` has passed, so that a slow implementation is called once.
    """
    batch, total, spent, before = 1, 0, 0.0, math.inf
    while True:
        call_s = sample(call, wait, batch, queued).call_s
        total += batch
        spent += call_s * batch
        steady = call_s * batch >= sample_s and call_s >= STEADY * before
        if steady or spent >= at_most_s or batch >= MAX_CALLS:
            return WarmUp(total, call_s)
        before = call_s
        if call_s * batch < sample_s:
            batch *= 2


def calls_per_sample(call_s: float, sample_s: float) -> int:
    """How many calls make a sample of at least `sample_s`."""
    return max(1, min(MAX_CALLS, math.ceil(sample_s / max(call_s, 1e-9))))


@dataclass(frozen=True)
class Pace:
    """How a callable is sampled, as warming up has found it."""

    calls: int
    """Calls in a sample."""
    call_s: float
    queued: bool = False
    """Whether the calls of a sample share one synchronisation at its end."""


@dataclass(frozen=True)
class Turn:
    """Samples taken one after the other."""

    samples_s: tuple[float, ...]
    result: Any
    """What the last call gave."""


def take_turn(call: Callable[[], Any], wait: Callable[[Any], None], pace: Pace, turn_s: float) -> Turn:
    """Samples for about `turn_s`, at least one.

    Others have run since the last turn and the caches are theirs: where a sample is short against the turn, one is
    taken and thrown away first.
    """
    sample_s = pace.call_s * pace.calls
    count = max(1, round(turn_s / max(sample_s, 1e-9)))
    gc.collect()
    gc.disable()
    try:
        if 2 * sample_s <= turn_s:
            sample(call, wait, pace.calls, pace.queued)
        samples_s, result = [], None
        for _ in range(count):
            result = None  # As free as a caller's own loop leaves it, when the next sample begins.
            call_s, result = sample(call, wait, pace.calls, pace.queued)
            samples_s.append(call_s)
    finally:
        gc.enable()
    return Turn(tuple(samples_s), result)
