"""What the samples of one problem say of its implementations: one model, from which all that is shown follows.

The logarithm of a sample is taken for a sum:

    log t[i, g, r] = a[i] + p[i, g] + c[g, r] + noise

a of the implementation i; p of its process of number g, since two processes of one kernel differ by more than two rounds
of one; c of the round r, the state of the machine that all turns of the round share. In each process, implementations and
rounds are separated by median polish of the turns' medians (Tukey 1977, Exploratory Data Analysis, ch. 11), which no single
turn upsets; without what its round has in common, the median of all samples of a process is its level, and a[i] is the mean
over processes. (The median of all samples was seen to vary by a tenth less than the median of the rounds' medians.) The
ratio of two times is exp(a[i] - a[j]), so that a table of times, ratios and ranks cannot contradict itself.

Intervals come from a bootstrap that draws processes with replacement, each with all its rounds and samples, as these add to
what processes differ by (Davison and Hinkley 1997, Bootstrap Methods, sec. 3.8). Few processes make percentiles too narrow,
hence its standard error is widened by sqrt(n / (n - 1)) and multiplied by Student's quantile of n - 1 degrees of freedom
(Hesterberg 2015, The American Statistician 69, sec. 4.3). Of a mean that is known without drawing: the deviation of the n
processes over sqrt(n). Of a single process rounds are drawn, with the same widening.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from harness.records.cell import Timing, Turn

CONFIDENCE = 0.95

CERTAIN = 0.99
"""The confidence with which two times are called different. At 95 % five of a hundred comparisons of equal ones would be."""

RESAMPLES = 600
"""The standard error is then known to 1 / sqrt(2 · 600) = 3 %."""

FEWEST_TURNS = 3
"""Undisturbed ones of a single process, from which on the others are left out."""

_SWEEPS = 50
_SETTLED = 1e-9


@dataclass(frozen=True)
class Interval:
    """A time and the interval that holds it with 95 % confidence, in seconds; from 0 to infinity where one turn is all."""

    median_s: float
    low_s: float
    high_s: float

    def __post_init__(self) -> None:
        if not self.low_s <= self.median_s <= self.high_s:
            raise ValueError(f"interval out of order: {self}")

    @property
    def half_width(self) -> float:
        """Half of its width against the time: 0.02 for ±2 %."""
        return (self.high_s - self.low_s) / 2 / self.median_s


@dataclass(frozen=True)
class Ratio:
    """How many times as long one takes as another, and the interval that holds it with 95 % confidence."""

    median: float
    low: float
    high: float
    differs: bool = False
    """Whether the interval of 99 % confidence does not hold 1."""
    most: float = math.inf
    """How far from 1 it may be, as a ratio above 1: the farther end of the interval of 90 % confidence, which is what two
    one-sided tests of 5 % come to (Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15)."""


@dataclass(frozen=True)
class Uncertain:
    """A logarithm with its standard error, known with so many degrees of freedom; 0 of them where it is not known at all."""

    value: float
    error: float
    freedom: float

    def over(self, other: Uncertain) -> Ratio:
        """The ratio of two that are independent of each other (Welch 1947, Biometrika 34)."""
        value, error = self.value - other.value, math.hypot(self.error, other.error)
        if not self.freedom or not other.freedom:
            return _ratio(Uncertain(value, 0.0, 0))
        parts = self.error**4 / self.freedom + other.error**4 / other.freedom
        return _ratio(Uncertain(value, error, error**4 / parts if parts else min(self.freedom, other.freedom)))


class Estimates:
    """The times of one problem's implementations, and their ratios."""

    def __init__(self, timings: Mapping[str, Timing]):
        timings = {name: undisturbed(timing) for name, timing in timings.items()}
        self._row = {name: number for number, name in enumerate(timings)}
        self._timings = timings
        numbers = sorted({turn.process for timing in timings.values() for turn in timing.turns})
        self._processes = [_Process(timings, number) for number in numbers]
        self._levels = np.array([process.level for process in self._processes])
        """log seconds by process and implementation; nan for those that had no turn."""
        self._log_times = _mean(self._levels - _shared(self._levels)[:, None]) if numbers else np.empty(0)

    def __iter__(self) -> Iterator[str]:
        """The names of the implementations."""
        return iter(self._row)

    def __contains__(self, name: str) -> bool:
        return name in self._row

    @property
    def fastest(self) -> str:
        """Whose time is shortest."""
        return min(self._row, key=lambda name: float(self._log_times[self._row[name]]))

    def time(self, name: str) -> Interval:
        """The time of an implementation, at a typical round of the run."""
        return Interval(*_around(self.uncertain(name)))

    def uncertain(self, name: str) -> Uncertain:
        """The logarithm of a time, to be compared with one of another run."""
        row = self._row[name]
        error, units = self._error(self._levels[:, row], lambda process: process.log_s[row])
        return Uncertain(float(self._log_times[row]), error, units - 1)

    def ratio(self, name: str, other: str) -> Ratio | None:
        """How many times as long `name` takes as `other`; None where they were never measured in the same round."""
        one, two = self._timings[name], self._timings[other]
        if not {turn.when for turn in one.turns} & {turn.when for turn in two.turns}:
            return None
        row, column = self._row[name], self._row[other]
        if row == column:
            return Ratio(1.0, 1.0, 1.0, most=1.0)
        differences = self._levels[:, row] - self._levels[:, column]
        error, units = self._error(differences, lambda process: process.log_s[row] - process.log_s[column])
        return _ratio(Uncertain(float(self._log_times[row] - self._log_times[column]), error, units - 1))

    def _error(self, by_process: np.ndarray, by_round: Callable[[_Process], np.ndarray]) -> tuple[float, int]:
        """The standard error of a mean over processes, and how many there are; of a single one that of its rounds."""
        known = np.flatnonzero(~np.isnan(by_process))
        if len(known) > 1:
            return float(np.std(by_process[known], ddof=1)) / math.sqrt(len(known)), len(known)
        rounds = by_round(self._processes[known[0]])
        rounds = rounds[~np.isnan(rounds)]
        if len(rounds) < 2:
            return 0.0, len(rounds)
        drawn = np.random.default_rng(0).integers(len(rounds), size=(RESAMPLES, len(rounds)))
        error = float(np.std(np.median(rounds[drawn], axis=1)))
        return error * math.sqrt(len(rounds) / (len(rounds) - 1)), len(rounds)


def undisturbed(timing: Timing) -> Timing:
    """The timing without the rounds in which other work disturbed the machine, where enough is left: turns of two processes,
    or three turns of the only one. What decides is what else ran, and not how long anything took."""
    quiet = tuple(turn for turn in timing.turns if not turn.disturbed)
    processes = {turn.process for turn in quiet}
    enough = len(processes) > 1 or (len(timing.processes) == 1 and len(quiet) >= FEWEST_TURNS)
    return dataclasses.replace(timing, turns=quiet) if enough else timing


class _Process:
    """The turns that the processes of one number took."""

    def __init__(self, timings: Mapping[str, Timing], number: int):
        turns = {name: [turn for turn in timing.turns if turn.process == number] for name, timing in timings.items()}
        rounds = sorted({turn.round for taken in turns.values() for turn in taken})
        self.log_s = np.full((len(timings), len(rounds)), np.nan)
        """log seconds by implementation and round; nan where it had no turn."""
        for row, taken in enumerate(turns.values()):
            for turn in taken:
                self.log_s[row, rounds.index(turn.round)] = math.log(np.median(turn.samples_s))
        shared = dict(zip(rounds, _column_effects(self.log_s), strict=True))
        self.level = np.array([_level(taken, shared) for taken in turns.values()])
        """log seconds of each implementation, without what rounds have in common; nan for those that had no turn."""


def _level(turns: list[Turn], shared: Mapping[int, float]) -> float:
    """The median of the samples' logarithms, each without what its round has in common."""
    if not turns:
        return math.nan
    return float(np.median(np.concatenate([np.log(turn.samples_s) - shared[turn.round] for turn in turns])))


def _column_effects(table: np.ndarray) -> np.ndarray:
    """Those of a table, with the median zero; one row alone has none."""
    rows, columns = np.zeros(table.shape[0]), np.zeros(table.shape[1])
    for _ in range(_SWEEPS):
        rows = _median(table - columns, 1)
        if np.count_nonzero(~np.isnan(rows)) < 2:
            break
        change = _median(table - rows[:, None] - columns, 0)
        columns = columns + change
        columns -= np.median(columns)
        if np.abs(change).max() < _SETTLED:
            break
    return columns


def _shared(levels: np.ndarray) -> np.ndarray:
    """What the implementations of each process share against the other processes: zero where every one took part in all.

    Least squares for level[g, i] = a[i] + shift[g], by alternating means.
    """
    shift = np.zeros(len(levels))
    if not np.isnan(levels).any():
        return shift
    for _ in range(_SWEEPS):
        implementations = _mean(levels - shift[:, None])
        shift = shift + _mean((levels - implementations - shift[:, None]).T)
        shift -= shift.mean()
    return shift


def _around(known: Uncertain) -> tuple[float, float, float]:
    """A value and its interval, from its logarithm."""
    value = math.exp(known.value)
    if not known.freedom:
        return value, 0.0, math.inf
    reach = _reach(known, CONFIDENCE)
    return value, value * math.exp(-reach), value * math.exp(reach)


def _ratio(known: Uncertain) -> Ratio:
    """A ratio and its interval, from its logarithm."""
    if not known.freedom:
        return Ratio(*_around(known))
    differs = abs(known.value) > _reach(known, CERTAIN)
    return Ratio(*_around(known), differs, math.exp(abs(known.value) + _reach(known, 2 * CONFIDENCE - 1)))


def _reach(known: Uncertain, confidence: float) -> float:
    """Half of an interval's width."""
    from scipy.stats import t

    return float(t.ppf((1 + confidence) / 2, known.freedom)) * known.error


def _median(values: np.ndarray, axis: int) -> np.ndarray:
    """Over an axis, without what is missing."""
    if not np.isnan(values).any():
        return np.median(values, axis)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # All missing: nan, as it should be.
        return np.nanmedian(values, axis)


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the first axis, without what is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, 0)
