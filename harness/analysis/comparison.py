"""Whether something became slower, bigger or less exact: two runs, or two implementations of one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.analysis.estimates import Estimates, Ratio
from harness.analysis.history import History
from harness.analysis.table import estimates
from harness.errors import Status
from harness.records.cell import Cell
from harness.records.run import Run

SAME, FASTER, SLOWER, UNCLEAR = "same", "faster", "slower", "unclear"

STEP_BYTES = 2**19
"""Below this the kernel's high-water mark cannot tell two workspaces apart."""

SMALL_ERROR = 0.1
"""Of the bound: below it no error is called worse than another."""

LESS_EXACT = 2.0
"""From which ratio on a larger error is told: values are drawn anew in each process, and the error is the largest of all."""


@dataclass(frozen=True)
class Comparison:
    """A cell against another one of the same problem."""

    problem: str
    name: str
    other: str
    verdict: str
    """same, faster, slower or unclear; of the times."""
    reason: str
    """Why it is unclear, or what else has changed; empty otherwise."""
    ratio: Ratio | None
    """Of the times: this one's over the other's."""
    peak_bytes: tuple[int, int] | None
    """The other's, and this one's."""
    error_over_bound: tuple[float, float] | None
    regressions: tuple[str, ...]
    """What became worse beyond the threshold."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        ratio = self.ratio
        return {
            **{name: getattr(self, name) for name in ("problem", "name", "other", "verdict", "reason")},
            "ratio": ratio and ratio.median,
            "ratio_low": ratio and ratio.low,
            "ratio_high": ratio and ratio.high,
            "peak_bytes": self.peak_bytes and list(self.peak_bytes),
            "error_over_bound": self.error_over_bound and list(self.error_over_bound),
            "regressions": list(self.regressions),
        }


def between_runs(old: Run, new: Run, threshold: float, history: History | None = None) -> list[Comparison]:
    """Every implementation that both have, problem by problem. `threshold` is a share: 0.05 for 5 %.

    A change counts that the interval tells from none, and that is larger than what the cell's `history` has seen.
    """
    before, after = estimates(old.cells), estimates(new.cells)
    cells = {cell.key: cell for cell in old.cells}
    found = []
    for cell in new.cells:
        if (other := cells.get(cell.key)) is not None:
            problem, name = cell.problem.name, cell.implementation
            ratio = _ratio_between(before.get(problem), after.get(problem), name)
            seen = history.reach(name, problem) if history else None
            found.append(_compared(cell, other, ratio, threshold, seen))
    return found


def within_a_run(run: Run, name: str, other: str, threshold: float) -> list[Comparison]:
    """One implementation against another, by the rounds that they have in common."""
    measured = estimates(run.cells)
    cells = {cell.key: cell for cell in run.cells}
    found = []
    for problem in run.problems:
        one, two = cells.get((name, problem.name)), cells.get((other, problem.name))
        if one is not None and two is not None:
            ratio = measured[problem.name].ratio(name, other) if one.timing and two.timing else None
            found.append(_compared(one, two, ratio, threshold))
    return found


def _ratio_between(old: Estimates | None, new: Estimates | None, name: str) -> Ratio | None:
    if old is None or new is None or name not in old or name not in new:
        return None
    return new.uncertain(name).over(old.uncertain(name))


def _compared(cell: Cell, other: Cell, ratio: Ratio | None, threshold: float, seen: float | None = None) -> Comparison:
    verdict, reason = _verdict(cell, other, ratio, threshold)
    if verdict in (FASTER, SLOWER) and ratio and seen and max(ratio.median, 1 / ratio.median) <= seen:
        reason = f"earlier runs of this machine, too, differ by up to {seen - 1:.1%}"
        verdict = SAME if seen <= 1 + threshold else UNCLEAR
    peaks = (other.memory.peak_bytes, cell.memory.peak_bytes) if cell.memory and other.memory else None
    errors = (other.accuracy.error_over_bound, cell.accuracy.error_over_bound) if cell.accuracy and other.accuracy else None
    return Comparison(
        problem=cell.problem.name,
        name=cell.implementation,
        other=other.implementation,
        verdict=verdict,
        reason=reason,
        ratio=ratio,
        peak_bytes=peaks,
        error_over_bound=errors,
        regressions=tuple(_regressions(cell, other, verdict, ratio, threshold)),
    )


def _verdict(cell: Cell, other: Cell, ratio: Ratio | None, threshold: float) -> tuple[str, str]:
    if cell.status is not other.status:
        return UNCLEAR, f"it was {other.status} and is {cell.status}" + (f": {cell.reason}" if cell.reason else "")
    if cell.status is not Status.OK:
        return UNCLEAR, f"both are {cell.status}"
    if cell.timing and other.timing and cell.timing.cache != other.timing.cache:
        return UNCLEAR, f"caches were {other.timing.cache} and are {cell.timing.cache}"
    if ratio is None:
        return UNCLEAR, "they were never measured in the same round"
    if math.isinf(ratio.high):
        return UNCLEAR, "one turn is all there is"
    if ratio.differs:
        return (SLOWER if ratio.median > 1 else FASTER), ""
    if ratio.most - 1 > threshold:
        return UNCLEAR, f"the difference may be {ratio.most - 1:.0%}, and {threshold:.0%} is what matters"
    return SAME, ""


def _regressions(cell: Cell, other: Cell, verdict: str, ratio: Ratio | None, threshold: float) -> Iterator[str]:
    if other.status is Status.OK and cell.status is not Status.OK:
        yield f"{cell.status}"
    if verdict == SLOWER and ratio and ratio.median > 1 + threshold:
        yield "time"
    if cell.memory and other.memory:
        before, now = other.memory.peak_bytes, cell.memory.peak_bytes
        if now > (1 + threshold) * before and now - before > STEP_BYTES:
            yield "memory"
    if cell.status is other.status is Status.OK and cell.accuracy and other.accuracy:
        worst_before, worst_now = other.accuracy.error_over_bound, cell.accuracy.error_over_bound
        if worst_now > max(SMALL_ERROR, LESS_EXACT * worst_before):
            yield "error"


def differences(old: Run, new: Run) -> tuple[list[str], list[str]]:
    """What makes two runs hard to compare: that the machine is another, and what else is; a sentence each."""
    machines = [
        f"{what}: {one or 'unknown'} then, {two or 'unknown'} now"
        for what, one, two in (
            ("processor", old.machine.processor, new.machine.processor),
            ("GPU", ", ".join(old.machine.gpus), ", ".join(new.machine.gpus)),
            ("threads", old.threads, new.threads),
        )
        if one != two
    ]
    others = [f"{name}: {one} then, {two} now" for name, one, two in _unequal(old.settings, new.settings)]
    others += [f"{name} {one} then, {two} now" for name, one, two in _unequal(old.machine.versions, new.machine.versions)]
    if old.machine.python != new.machine.python:
        others.append(f"Python {old.machine.python} then, {new.machine.python} now")
    return machines, others


def _unequal(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield name, old.get(name, "none"), new.get(name, "none")
