"""Records made while measuring."""

from __future__ import annotations

import datetime
from typing import Any

from harness.errors import Status
from harness.measure.messages import Rejected
from harness.measure.plan import Plan
from harness.operators.problem import Problem
from harness.plugins.contender import Contender
from harness.records.cell import Cell
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


def rejected(plan: Plan, contender: Contender, problem: Problem, reply: Failed, printed: str) -> Cell:
    """The record of one that failed."""
    accuracy = reply.accuracy if isinstance(reply, Rejected) else None
    return cell(plan, contender, problem, reply.status, reason=reply.reason, accuracy=accuracy, printed=printed)
