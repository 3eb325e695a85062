"""Conformance in a worker: cases are judged, problems solved, conventions found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from harness.conformance.verdict import Verdict, judge
from harness.errors import UserError
from harness.operators.answer import load
from harness.operators.base import Arrays
from harness.operators.case import Case
from harness.operators.conventions import Conventions
from harness.operators.problem import Problem
from harness.plugins.bound_call import BoundCall
from harness.plugins.session import ImplementationSession
from harness.workers.messages import Request


@dataclass(frozen=True)
class ExamineCase(Request):
    """Run one conformance case. Answered by a `Verdict`, or by `Failed` when the process could not survive it."""

    STEP: ClassVar[str] = "the case"
    REPLY: ClassVar[type] = Verdict

    case: Case
    answer: Path | None = None
    """A file with the oracle's answer; None to compute it."""


@dataclass(frozen=True)
class Solved:
    outputs: Arrays
    """Canonical arrays in the problem's dtype, by name."""


@dataclass(frozen=True)
class Solve(Request):
    """Compute the outputs of a problem for given arrays. Answered by `Solved` or `Failed`."""

    STEP: ClassVar[str] = "the call"
    REPLY: ClassVar[type] = Solved

    problem: Problem
    inputs: Arrays


@dataclass(frozen=True)
class Probed:
    implementation: Conventions
    library_call: Conventions | None
    """Of the bare library call behind it, where there is one."""


@dataclass(frozen=True)
class Probe(Request):
    """Find out the conventions. Answered by `Probed` or `Failed`."""

    STEP: ClassVar[str] = "probing"
    REPLY: ClassVar[type] = Probed


class ConformanceSession(ImplementationSession):
    """One implementation under examination."""

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {ExamineCase: self.examine, Solve: self.solve, Probe: self.probe}

    def examine(self, request: ExamineCase) -> Verdict:
        """One conformance case."""
        path = request.answer
        answer = None if path is None else lambda _case, _inputs: load(path)
        return judge(request.case, self.implementation, self.framework, answer)

    def solve(self, request: Solve) -> Solved:
        """The outputs for given arrays."""
        call = BoundCall(self.implementation, self.framework, request.problem)
        call.bind(request.inputs)
        return Solved(call.outputs(call.call_and_synchronize()))

    def probe(self, request: Probe) -> Probed:
        """What it really does, and what the library call behind it does."""
        one, conventions = self.implementation, self.implementation.operator.conventions
        if conventions is None:
            raise UserError(f"{one.name} implements {one.operator.name}, which has no conventions to be probed")
        supports = one.supports_on(self.framework.device)

        def solve(problem: Problem, inputs: Arrays, layout: str) -> Arrays:
            call = BoundCall(dataclasses.replace(one, layout=layout), self.framework, problem)
            call.bind(inputs)
            return call.outputs(call.call_and_synchronize())

        mine = conventions.of_implementation(solve, supports, one.layout)
        bare = one.library_call
        return Probed(mine, conventions.of_library_call(bare(), self.framework, supports) if bare else None)
