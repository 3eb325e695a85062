"""One conformance case: which problem, with which arrays, under which check. Data only; `verdict` does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.problem import Problem


@dataclass(frozen=True)
class Case:
    """One conformance case."""

    chapter: str
    name: str
    problem: Problem
    inputs: str = "normal"
    """A variation of `conformance.inputs`."""
    check: str = "values"
    """"values": against the oracle, once. Else one of `conformance.calls` or `conformance.properties`."""
    core: bool = False
    """Whether implementations that compile for seconds at every shape run it too."""
    long: bool = False
    """Whether it takes plain Python minutes; implementations that are interpreted leave it out."""
    seed: int = 11

    @property
    def id(self) -> str:
        """What `--case` takes, such as "causal/bottom-right-q21k18"."""
        return f"{self.chapter}/{self.name}"


def small(**fields: Any) -> Problem:
    """A problem across the edges of 16-wide tiles, with some fields changed: plain Python runs it in milliseconds."""
    return Problem(**{"batch": 1, "q_heads": 2, "q_len": 18, "kv_len": 21, "head_dim": 16, **fields})


FORMS = tuple(
    form
    for axes in ("bhqk", "hqk", "qk", "k")
    for form in ("".join("1" if drop >> n & 1 else axis for n, axis in enumerate(axes)) for drop in range(2 ** len(axes)))
)
"""Every way to broadcast a mask or bias to (batch, head, query, key): the axes from the right, 1 where it broadcasts."""
