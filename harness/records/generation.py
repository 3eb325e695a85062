"""What came of generating text greedily: the same tokens as the model in float64 gives, or where they part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Generation:
    """Of one implementation of attention inside a model."""

    tokens: int
    """Generated for each sequence."""
    differs_at: int | None = None
    """The first of them that differs in any sequence, counted from 0."""
    gap: float = 0.0
    """By how much the model in float64 prefers its own token to that one: a difference of logits."""
    unit: float = 0.0
    """How far off a logit is by rounding alone: the root of the mean square, of eager attention in the same dtype."""

    @property
    def explained(self) -> bool:
        """Whether rounding explains where the tokens part: both logits may be off by so much."""
        return self.differs_at is None or self.gap <= 2 * UNITS * self.unit

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Generation:
        """What was written of it. Raises `TypeError` for anything else."""
        return cls(**data)


UNITS = 16.0
"""Root mean squares of what rounding explains that a logit may be off by: of a million normal numbers the largest is at 4.9,
and another kernel may round somewhat more than eager attention."""
