"""How calls really ran, as the system and the library tell it: beside what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Execution:
    """Of the first process that measured a cell."""

    threads: int
    """Threads of the process that worked for a twentieth of the time at least; 0 where the system does not tell."""
    processors: float
    """Processor time of all threads a second: how many processors were kept busy on average, by computing or by waiting."""
    kernels: tuple[str, ...] = ()
    """What the library says that it ran; empty where it does not say."""
    dtypes: tuple[str, ...] = ()
    """What it says that it computed in."""
    fallback: str = ""
    """What it ran in place of what the implementation is about, in a sentence; empty where it ran that, or does not say."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Execution:
        """What was written of it. Raises `TypeError` for anything else."""
        return cls(**{**data, "kernels": tuple(data["kernels"]), "dtypes": tuple(data["dtypes"])})
