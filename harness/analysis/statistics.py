"""From raw samples to a time with its uncertainty. Pure functions over records."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from typing import Any

from harness.records.cell import Timing

CONFIDENCE = 0.95
WIDE = 0.10
"""Relative width of the interval from which a time is marked as noisy; pyperf warns at the same spread."""

FEWEST_ROUNDS = 6
"""Below this no pair of order statistics holds the median with 95 % confidence (1 - 2 / 2^n)."""


@dataclass(frozen=True)
class Interval:
    """A median and the interval that holds it with the stated confidence, in seconds."""

    median_s: float
    low_s: float
    high_s: float

    def __post_init__(self) -> None:
        if not self.low_s <= self.median_s <= self.high_s:
            raise ValueError(f"interval out of order: {self}")


@dataclass(frozen=True)
class Ratio:
    """A median ratio of two times and its interval."""

    median: float
    low: float
    high: float


def round_medians(timing: Timing) -> dict[int, float]:
    """The median sample of each round. Samples of one round are not independent of each other; rounds are, nearly."""
    pairs = sorted(zip(timing.rounds, timing.samples_s, strict=True))
    return {
        number: statistics.median(sample for _, sample in group)
        for number, group in itertools.groupby(pairs, key=lambda pair: pair[0])
    }


def interval(timing: Timing) -> Interval:
    """The median over rounds and the interval that holds it at 95 %. No sample is dropped."""
    return Interval(*_median_and_interval(list(round_medians(timing).values())))


def ratio(numerator: Timing, denominator: Timing) -> Ratio | None:
    """How many times as long one takes as the other, over the rounds that both took part in; None without any.

    Within a round both met the same mood of the machine, so the ratio holds when its speed drifts.
    """
    above, below = round_medians(numerator), round_medians(denominator)
    common = above.keys() & below.keys()
    return Ratio(*_median_and_interval([above[n] / below[n] for n in common])) if common else None


def _median_and_interval(values: list[float]) -> tuple[float, float, float]:
    """The median, and the order statistics that hold it at 95 %, whatever the distribution (Conover 1999, sec. 3.2).

    With fewer than six values there are none such: the interval is the whole range, and `warnings` says so.
    """
    median = statistics.median(values)
    if len(values) < FEWEST_ROUNDS:
        return median, min(values), max(values)
    from scipy.stats import quantile_test

    held: Any = quantile_test(values, q=median, p=0.5).confidence_interval(CONFIDENCE)
    return median, float(held.low), float(held.high)


def warnings(timing: Timing) -> list[str]:
    """What a reader of this time should know of its quality."""
    said = []
    rounds = len(set(timing.rounds))
    found = interval(timing)
    if rounds < FEWEST_ROUNDS:
        said.append(f"only {rounds} rounds: the interval is their whole range")
    width = (found.high_s - found.low_s) / found.median_s
    if width > WIDE:
        said.append(f"noisy: the interval is {width:.0%} wide")
    return said
