"""Products of axes, and few points of them that hold every pair of values."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

Point = Mapping[str, Hashable]
"""One value of every axis."""

Value = tuple[str, Hashable]
Pair = frozenset[Value]

_HIDES = frozenset({"causal", "local", "mask", "sees", "direction"})
PARTNERS: Mapping[str, frozenset[str]] = {
    "lengths": _HIDES,
    "q_len": _HIDES | {"kv_len"},
    "kv_len": _HIDES | {"q_len"},
    "shape": frozenset({"causal"}),
    "broadcast": frozenset({"direction"}),
    "batch": frozenset(),
}
"""Axes that are paired with these only; all others are paired with each other. Lengths go with what hides keys and with the
direction, which decide where a kernel's tiles end; the number, the width and the dtype of heads concern every tile alike."""

TRIES = 50
"""Random points, of which the one with the most new pairs is taken."""


@dataclass(frozen=True)
class Grid:
    """The axes of one parametrised test."""

    test: str
    """Its name in the project."""
    axes: Mapping[str, Sequence[Hashable]]
    """What `stating.stated` knows to read, by axis."""
    skips: Callable[[Point], bool] = lambda point: False
    """Points that the test itself skips, or that are no problem of this contract."""

    def points(self) -> Iterator[Point]:
        """The whole product."""
        for values in itertools.product(*self.axes.values()):
            point = dict(zip(self.axes, values, strict=True))
            if not self.skips(point):
                yield point

    def pairs(self) -> Iterator[Pair]:
        """Every pair of values that is to be in some point."""
        for one, other in itertools.combinations(self.axes, 2):
            if interact(one, other):
                yield from map(
                    frozenset, itertools.product(values_of(one, self.axes[one]), values_of(other, self.axes[other]))
                )

    def values(self) -> Iterator[Pair]:
        """Every single value, as a pair with itself: an axis may have no partner."""
        for axis, values in self.axes.items():
            yield from (frozenset([value]) for value in values_of(axis, values))

    def drawn(self, fixed: Iterable[Value], rng: random.Random) -> Point:
        """A random point with some values fixed."""
        return {**{axis: rng.choice(values) for axis, values in self.axes.items()}, **dict(fixed)}


def grid(test: str, skips: Callable[[Point], bool] | None = None, **axes: Any) -> Grid:
    """A grid; a list holds the values of an axis, anything else is its only one."""
    listed = {axis: value if isinstance(value, list) else [value] for axis, value in axes.items()}
    return Grid(test, listed, skips) if skips else Grid(test, listed)


def interact(one: str, other: str) -> bool:
    """Whether every pair of values of two axes is to be in some point."""
    return other in PARTNERS.get(one, (other,)) and one in PARTNERS.get(other, (one,))


def values_of(axis: str, values: Iterable[Hashable]) -> list[Value]:
    return [(axis, value) for value in values]


def held(point: Point) -> set[Pair]:
    """The values and the pairs that a point holds."""
    pairs = itertools.combinations_with_replacement(point.items(), 2)
    return {frozenset(pair) for pair in pairs if pair[0] == pair[1] or interact(pair[0][0], pair[1][0])}


def cover(grids: Sequence[Grid], cost: Callable[[Point], float], seed: int = 0) -> list[Point]:
    """Points of the grids that hold every value and every pair of values, except where that has no point of finite cost.

    Greedy, after AETG (Cohen et al. 1997): for each pair that is still missing, of some random points that hold it, the one
    with the most missing pairs for its cost. What one grid holds is not asked of the next. A pair is given up when no draw
    is possible.
    """
    rng = random.Random(seed)
    covered: set[Pair] = set()
    chosen: list[Point] = []
    for grid in grids:
        wanted = [*grid.pairs(), *grid.values()]
        rng.shuffle(wanted)
        for pair in wanted:
            if pair in covered:
                continue
            drawn = [point for point in (grid.drawn(pair, rng) for _ in range(TRIES)) if not grid.skips(point)]
            usable = [point for point in drawn if cost(point) < math.inf]
            if usable:
                chosen.append(max(usable, key=lambda point: len(held(point) - covered) / (1 + cost(point))))
                covered |= held(chosen[-1])
    return without_needless(chosen, cost)


def without_needless(points: Sequence[Point], cost: Callable[[Point], float]) -> list[Point]:
    """The points without those whose every pair is in another, the dearest of them first."""
    holders = Counter(pair for point in points for pair in held(point))
    needless = set()
    for index in sorted(range(len(points)), key=lambda index: -cost(points[index])):
        pairs = held(points[index])
        if all(holders[pair] > 1 for pair in pairs):
            needless.add(index)
            holders.subtract(pairs)
    return [point for index, point in enumerate(points) if index not in needless]


def spread(holders: Sequence[Set[Pair]], count: int) -> list[int]:
    """Indices of the `count` that together hold the most pairs, found greedily."""
    missing = {index: set(pairs) for index, pairs in enumerate(holders)}
    chosen: list[int] = []
    while missing and len(chosen) < count:
        best = max(missing, key=lambda index: (len(missing[index]), -index))
        chosen.append(best)
        new = missing.pop(best)
        for pairs in missing.values():
            pairs -= new
    return sorted(chosen)
