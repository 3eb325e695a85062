"""What was found by probing an implementation, whatever the operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Conventions:
    """The findings, in words, by question."""

    found: Mapping[str, str]
    disagreements: tuple[str, ...] = field(default=())
    """Sentences on what is not as the contract or the declaration has it."""
