"""Whether two curves are the same: within what rounding explains, for the first hundred steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.tasks.curves import Point

STEPS = 100
SHAKEN = "weights changed by a rounding"
"""The training that shows what rounding does."""

ADMITTED = 16.0
"""Times what a change of every weight by up to one rounding has come to so far: a kernel rounds more than once in a step."""

_FLOOR = 1e-6
"""Of the loss: losses are float32 numbers."""


@dataclass(frozen=True)
class Distance:
    """How far two curves are apart at most, in nats, and in what rounding explains there."""

    apart: float
    roundings: float

    @property
    def same(self) -> bool:
        """Whether rounding explains it."""
        return self.roundings <= ADMITTED


def distances(curves: Mapping[str, Sequence[Point]], reference: str) -> dict[str, Distance]:
    """Of every curve to that of the reference; nothing where a curve that shows rounding is missing."""
    if SHAKEN not in curves or reference not in curves:
        return {}
    losses = {name: _losses(points) for name, points in curves.items()}
    right, shaken = losses.pop(reference), losses.pop(SHAKEN)
    explained, widest = [], 0.0
    for one, other in zip(right, shaken, strict=False):
        widest = max(widest, abs(one - other), _FLOOR * one)
        explained.append(widest)
    return {
        name: Distance(
            max((abs(a - b) for a, b in zip(some, right, strict=False)), default=0.0),
            max((abs(a - b) / unit for a, b, unit in zip(some, right, explained, strict=False)), default=0.0),
        )
        for name, some in losses.items()
    }


def _losses(points: Sequence[Point]) -> list[float]:
    return [point.loss for point in points if point.part == "train" and point.step <= STEPS]
