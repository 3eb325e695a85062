"""How time and workspace grow with the length, and where one implementation overtakes another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.analysis.estimates import Estimates
from harness.analysis.families import Family
from harness.analysis.ranking import timed

FEWEST_LENGTHS = 3
"""From which on a line can be wrong."""


@dataclass(frozen=True)
class Growth:
    """The exponent p of `quantity ~ length^p`, by least squares of the logarithms, with its 95 % interval."""

    implementation: str
    quantity: str
    """The column of the table: "median_s" or "workspace_bytes"."""
    exponent: float
    low: float
    high: float
    residual: float
    """The largest factor, less one, by which a length departs from the line: 0.1 for 10 %."""


@dataclass(frozen=True)
class Crossing:
    """A length at which one implementation becomes faster than another."""

    overtaking: str
    """Which is the faster one from there on."""
    overtaken: str
    length: float
    """Between two measured lengths, on a straight line from ratio to ratio, in logarithms."""
    low: float
    high: float
    """Where the ends of the ratios' intervals cross; nan beyond the measured lengths."""


def growths(table: pd.DataFrame, family: Family) -> list[Growth]:
    """The exponents of every implementation that was measured at three lengths of a family and more."""
    lengths = {problem.name: length for length, problem in family.members}
    rows = timed(table[table.problem.isin(lengths)])
    rows = rows.assign(length=rows.problem.map(lengths))
    found = []
    for name, own in rows.groupby("implementation", sort=False):
        for quantity in ("median_s", "workspace_bytes"):
            known = own[own[quantity] > 0]
            if known.length.nunique() >= FEWEST_LENGTHS:
                found.append(_fitted(str(name), quantity, known))
    return found


def _fitted(name: str, quantity: str, rows: pd.DataFrame) -> Growth:
    from scipy.stats import linregress, t

    x, y = np.log(rows.length.astype(float)), np.log(rows[quantity].astype(float))
    line = linregress(x, y)
    reach = float(t.ppf(0.975, len(x) - 2) * line.stderr)
    residual = float(np.exp(np.abs(y - line.intercept - line.slope * x).max()) - 1)
    return Growth(name, quantity, float(line.slope), line.slope - reach, line.slope + reach, residual)


def changes_of_the_fastest(found: Mapping[str, Estimates], family: Family) -> Iterator[Crossing]:
    """Where along a family another implementation becomes the fastest, by what was estimated of each problem."""
    measured = [(length, found[problem.name]) for length, problem in family.members if problem.name in found]
    for (before, at_first), (after, then) in itertools.pairwise(measured):
        name, other = then.fastest, at_first.fastest
        if name == other or name not in at_first or other not in then:
            continue
        ratios = ((before, at_first.ratio(name, other)), (after, then.ratio(name, other)))
        yield from crossings([(n, r.median, r.low, r.high) for n, r in ratios if r is not None], name, other)


def crossings(ratios: Sequence[tuple[int, float, float, float]], name: str, other: str) -> Iterator[Crossing]:
    """Where the ratio of two times, (length, ratio, low, high) of `name` over `other` along a family, passes one."""
    points = sorted(ratios)
    for (before, r0, low0, high0), (after, r1, low1, high1) in itertools.pairwise(points):
        if (r0 - 1) * (r1 - 1) >= 0:
            continue
        ends = sorted(_passes(before, after, a, b) for a, b in ((low0, low1), (high0, high1)))
        overtaking, overtaken = (name, other) if r1 < 1 else (other, name)
        yield Crossing(overtaking, overtaken, _passes(before, after, r0, r1), *ends)


def _passes(before: int, after: int, first: float, second: float) -> float:
    """The length at which a line from one ratio to another passes one; nan where it does not between the lengths.

    The interval of a time that is known from one turn only is from zero to infinity: a line to these passes nowhere.
    """
    if not (0 < first < math.inf and 0 < second < math.inf):
        return math.nan
    one, two = math.log(first), math.log(second)
    if one == two or (one > 0) == (two > 0):
        return math.nan
    return math.exp(math.log(before) + (math.log(after) - math.log(before)) * one / (one - two))
