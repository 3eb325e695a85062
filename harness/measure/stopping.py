"""When a cell is known well enough, so that no further process measures it."""

from __future__ import annotations

import dataclasses

from harness.analysis.estimates import Interval, undisturbed
from harness.measure.plan import Effort
from harness.records.cell import Cell, Timing


def is_open(cell: Cell | None) -> bool:
    """Whether another process has to measure a cell; None for one that was not begun."""
    return cell is None or (cell.timing is not None and not cell.timing.stopped)


def with_reason_to_stop(cell: Cell, time: Interval, effort: Effort) -> Cell:
    """The cell, with the reason why nothing more is measured where there is one."""
    if cell.timing is None:
        return cell
    return dataclasses.replace(cell, timing=dataclasses.replace(cell.timing, stopped=_reason(cell.timing, time, effort)))


def _reason(timing: Timing, time: Interval, effort: Effort) -> str:
    taken, most = len(timing.processes), effort.processes_for(time.median_s)
    counted = len(undisturbed(timing).processes)
    if counted >= min(effort.min_processes, most) and time.half_width <= effort.precision:
        return f"precise: ±{effort.precision:.2g} of the time was wanted"
    # A call that is nearly too long for several processes may have had one turn in the first.
    few = taken < effort.processes and len(timing.turns) < min(effort.min_rounds, effort.rounds)
    if taken < most or few:
        return ""
    return "budget: a call is long" if most < effort.processes else f"processes: all {most}"
