"""A whole run, as analysis and reports look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.records.cell import Cell
from harness.records.machine import Machine
from harness.records.problem import PosedProblem


@dataclass(frozen=True)
class Run:
    """What was asked, what came of it so far, and where."""

    preset: str
    problems: tuple[PosedProblem, ...]
    """In the order in which they were asked for."""
    implementations: tuple[str, ...]
    baseline: str
    """Whose time the others' are divided into; "" for none."""
    threads: int
    cells: tuple[Cell, ...]
    """In the order of measurement."""
    machine: Machine
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What decides how it measures, beside the threads: such as the seed, and the effort."""
