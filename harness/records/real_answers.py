"""Whether a model with real weights gives the same answers with an implementation inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NEAR = 1e-5
"""How far a cosine may be from the right one."""


@dataclass(frozen=True)
class RealAnswers:
    """Against those of the model's eager attention in float64."""

    asked: int
    same: int
    apart: float = 0.0
    """The largest difference, of answers that are numbers."""

    @classmethod
    def compared(cls, found: Sequence[Any], right: Sequence[Any]) -> RealAnswers:
        """Numbers are the same when they are within `NEAR`, anything else when it is equal."""
        numbers = all(isinstance(answer, float) for answer in right)
        apart = [abs(one - other) for one, other in zip(found, right, strict=True)] if numbers else []
        same = [difference <= NEAR for difference in apart] if numbers else map(_equal, found, right)
        return cls(len(right), sum(same), max(apart, default=0.0))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RealAnswers:
        """What was written of it. Raises `TypeError` for anything else."""
        return cls(**data)


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other)
