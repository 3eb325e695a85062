"""Conformance in a worker: cases are judged, problems solved, conventions found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.conformance.verdict import Verdict, judge
from harness.operators.attention import conventions
from harness.operators.attention.conventions import Conventions
from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem
from harness.operators.case import Case
from harness.plugins.bound_call import BoundCall
from harness.plugins.session import ImplementationSession
from harness.workers.messages import Request


@dataclass(frozen=True)
class Check(Request):
    """Run one conformance case. Answered by a `Verdict`, or by `Failed` when the process could not survive it."""

    STEP: ClassVar[str] = "the case"

    case: Case


@dataclass(frozen=True)
class Solve(Request):
    """Compute the outputs of a problem for given arrays. Answered by `Solved` or `Failed`."""

    STEP: ClassVar[str] = "the call"

    problem: Problem
    inputs: Inputs


@dataclass(frozen=True)
class Solved:
    outputs: dict[str, np.ndarray]
    """Canonical arrays in the problem's dtype: o, or dq, dk and dv."""


@dataclass(frozen=True)
class Probe(Request):
    """Find out the conventions. Answered by `Probed` or `Failed`."""

    STEP: ClassVar[str] = "probing"


@dataclass(frozen=True)
class Probed:
    implementation: Conventions
    library_call: Conventions | None
    """Of the bare library call behind it, where there is one."""


class ConformanceSession(ImplementationSession):
    """One implementation under examination."""

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {Check: self.check, Solve: self.solve, Probe: self.probe}

    def check(self, request: Check) -> Verdict:
        """One conformance case."""
        return judge(request.case, self.implementation, self.framework)

    def solve(self, request: Solve) -> Solved:
        """The outputs for given arrays."""
        call = BoundCall(self.implementation, self.framework, request.problem)
        call.bind(request.inputs)
        return Solved(call.outputs(call.call_and_synchronize()))

    def probe(self, request: Probe) -> Probed:
        """What it really does, and what the library call behind it does."""
        mine = conventions.of_implementation(self.implementation, self.framework)
        bare = self.implementation.library_call
        return Probed(mine, conventions.of_library_call(self.implementation, self.framework) if bare else None)
