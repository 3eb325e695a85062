"""What the calls of an implementation were spent on, as it tells itself: one that runs attention inside a model does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Usage:
    """Of a call or, where it is told while calls are made, of all so far."""

    attention_s: float
    """Seconds in attention."""
    exchange_s: float = 0.0
    """Of these, in handing arrays from one framework to another."""
    copied_bytes: float = 0.0
    """Of arrays that could not be handed over in the same memory."""
    calls_s: float = 0.0
    """Of the same calls from beginning to end; 0 in records that do not tell."""

    def since(self, before: Usage, calls: int) -> Usage:
        """Of one of the `calls` that were made since it was `before`."""
        return Usage(
            (self.attention_s - before.attention_s) / calls,
            (self.exchange_s - before.exchange_s) / calls,
            (self.copied_bytes - before.copied_bytes) / calls,
            (self.calls_s - before.calls_s) / calls,
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Usage:
        """What was written of it. Raises `TypeError` for anything else."""
        return cls(**data)
