"""One conformance case: which problem, with which arrays, under which check. Data only; `verdict` does the rest."""

from __future__ import annotations

from dataclasses import dataclass

from harness.operators.problem import Problem


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
