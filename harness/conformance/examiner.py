"""Conformance cases in a worker of their own, which is started again when a case ends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from harness.conformance.verdict import Verdict
from harness.errors import Status
from harness.measure.messages import Check, Checked, Failed, Probe, Probed, Reply, Request, Solve, Solved, Start
from harness.measure.process import Worker
from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem
from harness.operators.case import Case
from harness.plugins.contender import Contender

WROTE = "an input was written to during the call, if only for a moment: on pages that cannot be written it ends by SIGSEGV"


class Checker:
    """One implementation under examination. Use as a context manager."""

    def __init__(self, contender: Contender, threads: int, timeout_s: float, memory_bytes: int = 0):
        self._start = Start(contender.name, contender.origin, contender.device, threads, memory_bytes)
        self._framework = contender.framework
        self._timeout_s = timeout_s
        self._worker: Worker | None = None

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            self._worker.kill()

    def check(self, case: Case) -> Verdict:
        """Run one case and say what came of it; a timeout or a crash is a verdict too."""
        reply = self._ask(Check(case))
        if isinstance(reply, Checked):
            return reply.verdict
        assert isinstance(reply, Failed)
        if reply.status is Status.CRASHED and case.inputs == "protected" and "SIGSEGV" in reply.reason:
            return Verdict(case, Status.INCORRECT, WROTE)
        return Verdict(case, reply.status, reply.reason)

    def check_all(self, cases: Sequence[Case]) -> Iterator[Verdict]:
        """Run cases in turn."""
        for case in cases:
            yield self.check(case)

    def solve(self, problem: Problem, inputs: Inputs) -> dict[str, np.ndarray] | Failed:
        """The outputs for given arrays, or why there are none."""
        reply = self._ask(Solve(problem, inputs))
        return reply.outputs if isinstance(reply, Solved) else cast(Failed, reply)

    def probe(self) -> Probed | Failed:
        """Its conventions, found by probing."""
        return cast(Probed | Failed, self._ask(Probe()))

    def _ask(self, request: Request) -> Reply:
        if self._worker is None or not self._worker.alive:
            self._worker = Worker(self._start, self._framework, self._timeout_s)
        return self._worker.ask(request, self._timeout_s)
