"""Records made while measuring."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from harness.errors import Status
from harness.measure.blocks import Outcome
from harness.measure.messages import Rejected
from harness.measure.plan import Plan
from harness.operators.problem import Problem
from harness.plugins.contender import Contender
from harness.records.cell import Cell, Timing
from harness.workers.messages import Failed


def cell(plan: Plan, contender: Contender, problem: Problem, status: Status, **found: Any) -> Cell:
    """The record of a contender on a problem, finished now."""
    return Cell(
        implementation=contender.name,
        framework=contender.framework,
        device=contender.device,
        problem=problem.posed(plan.operator),
        status=status,
        taken=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **found,
    )


def measured(plan: Plan, problem: Problem, outcome: Outcome, before: Cell | None, share: float) -> Cell:
    """The record of one that was measured by another process, `before` by others; `share` of the rows has been compared."""
    prepared, accuracy = outcome.prepared, outcome.accuracy
    assert prepared and accuracy
    if before and before.accuracy:
        accuracy = max(accuracy, before.accuracy, key=lambda a: a.error_over_bound)
    if before and before.timing:
        timing = before.timing.with_more(outcome.turns)
    else:
        cache = "cold" if plan.is_cold(problem) else "hot"
        timing = Timing(
            outcome.turns, prepared.build_s, prepared.first_call_s, prepared.warmup_calls, outcome.import_s, cache=cache
        )
    warnings = (*before.warnings, *outcome.warnings) if before else outcome.warnings
    return cell(
        plan,
        outcome.contender,
        problem,
        Status.OK,
        accuracy=dataclasses.replace(accuracy, share=share),
        timing=timing,
        memory=before.memory if before else None,
        execution=before.execution if before else outcome.execution,
        usage=before.usage if before else outcome.usage,
        warnings=tuple(dict.fromkeys(warnings)),
        versions=outcome.settings,
        printed=outcome.printed,
    )


def impossible(cell: Cell, time_s: float, floor_s: float) -> Cell:
    """The record of one that is faster than it can be."""
    posed = cell.problem
    reason = (
        f"{time_s:.3g} s a call, and {posed.flops / 1e9:.3g} GFLOP and {posed.bytes / 2**20:.3g} MiB take at least "
        f"{floor_s:.3g} s here"
    )
    return dataclasses.replace(cell, status=Status.IMPOSSIBLE, reason=reason, timing=None, memory=None)


def rejected(plan: Plan, contender: Contender, problem: Problem, reply: Failed, printed: str) -> Cell:
    """The record of one that failed."""
    accuracy = reply.accuracy if isinstance(reply, Rejected) else None
    return cell(plan, contender, problem, reply.status, reason=reply.reason, accuracy=accuracy, printed=printed)
