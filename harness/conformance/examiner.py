"""Conformance cases in a worker of their own, which is started again when a case ends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from harness.conformance.answers import Answers
from harness.conformance.session import ConformanceSession, ExamineCase, Probe, Probed, Solve
from harness.conformance.verdict import Verdict
from harness.errors import Status
from harness.operators.base import Arrays
from harness.operators.case import Case
from harness.operators.problem import Problem
from harness.plugins.contender import Contender
from harness.plugins.session import environment, opening
from harness.workers.messages import Failed, Request
from harness.workers.process import Worker

WROTE = "an input was written to during the call, if only for a moment: on pages that cannot be written it ends by SIGSEGV"


class Examiner:
    """One implementation under examination. Use as a context manager."""

    def __init__(
        self, contender: Contender, threads: int, timeout_s: float, answers: Answers | None = None, memory_bytes: int = 0
    ):
        """Without `answers` the worker asks the oracle; without `memory_bytes` nothing limits its memory."""
        self._start = opening(contender, ConformanceSession, threads, memory_bytes)
        self._environment = environment(contender, threads)
        self._timeout_s = timeout_s
        self._answers = answers
        self._worker: Worker | None = None

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            self._worker.kill()

    def examine(self, case: Case) -> Verdict:
        """Run one case and say what came of it; a timeout or a crash is a verdict too."""
        answer = self._answers.path(case) if self._answers else None
        reply = self._ask(ExamineCase(case, answer))
        if not isinstance(reply, Failed):
            return reply
        if reply.status is Status.CRASHED and case.inputs == "protected" and "SIGSEGV" in reply.reason:
            return Verdict(case, Status.INCORRECT, WROTE)
        return Verdict(case, reply.status, reply.reason)

    def examine_all(self, cases: Sequence[Case]) -> Iterator[Verdict]:
        """Run cases in turn."""
        for case in cases:
            yield self.examine(case)

    def solve(self, problem: Problem, inputs: Arrays) -> Arrays | Failed:
        """The outputs for given arrays, or why there are none."""
        reply = self._ask(Solve(problem, inputs))
        return reply if isinstance(reply, Failed) else reply.outputs

    def probe(self) -> Probed | Failed:
        """Its conventions, found by probing."""
        return self._ask(Probe())

    def _ask(self, request: Request) -> Any:
        if self._worker is None or not self._worker.alive:
            self._worker = Worker(self._start, self._environment, self._timeout_s)
        return self._worker.ask(request, self._timeout_s)
