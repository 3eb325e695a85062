"""A whole run, as analysis and reports look at it."""

from __future__ import annotations

from dataclasses import dataclass

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
