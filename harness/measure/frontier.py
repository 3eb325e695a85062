"""The largest length that an implementation computes within a time and a memory, by doubling and bisection."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from harness.measure.answers import Answers, judged, rows_of
from harness.measure.messages import Prepare, Reveal
from harness.measure.pool import Launcher
from harness.measure.session import MeasuringSession
from harness.operators.base import Operator
from harness.operators.problem import Problem
from harness.plugins.contender import Contender
from harness.plugins.implementation import Implementation
from harness.plugins.session import environment, opening
from harness.workers.messages import Failed
from harness.workers.process import Worker

SHORTEST = 16
"""Where doubling begins."""

RESOLUTION = 16
"""Bisection ends when what is known to fit and what does not differ by a sixteenth."""


@dataclass(frozen=True)
class Trial:
    """One length that was tried."""

    length: int
    call_s: float | None
    """Seconds of a call; None where it does not fit."""
    reason: str = ""
    """Why it does not."""


@dataclass(frozen=True)
class Frontier:
    """How far an implementation comes."""

    implementation: str
    largest: Trial | None
    """The largest length that fits; None where the first does not."""
    beyond: Trial | None
    """The smallest that was tried and does not fit; None where the largest that may be asked for does."""


@dataclass(frozen=True)
class Allowance:
    """What a call may take."""

    time_s: float
    memory_bytes: int
    timeout_s: float
    """For building and the first call, which may compile."""
    threads: int


def search(implementation: str, fits: Callable[[int], Trial], longest: int) -> Frontier:
    """Double the length until it does not fit, then halve the gap until it is a sixteenth of the length."""
    largest: Trial | None = None
    beyond: Trial | None = None
    length = min(SHORTEST, longest)
    while True:
        trial = fits(length)
        if trial.call_s is None:
            beyond = trial
        else:
            largest = trial
        if beyond is None:
            if length >= longest:
                return Frontier(implementation, largest, None)
            length = min(2 * length, longest)
            continue
        if largest is None or beyond.length - largest.length <= max(1, largest.length // RESOLUTION):
            return Frontier(implementation, largest, beyond)
        length = (largest.length + beyond.length) // 2


class Prober:
    """Tries lengths of a problem with one implementation, each in a process of its own."""

    def __init__(
        self,
        operator: Operator,
        implementation: Implementation,
        contender: Contender,
        allowance: Allowance,
        launcher: Launcher = Worker,
    ):
        self._operator = operator
        self._implementation = implementation
        self._contender = contender
        self._allowance = allowance
        self._launcher = launcher

    def fits(self, problem: Problem, length: int) -> Trial:
        """Whether a problem, which is of that length, is computed rightly within the allowance."""
        unsupported = self._implementation.supports_on(self._contender.device).unsupported_reasons(problem)
        if unsupported:
            return Trial(length, None, f"unsupported: {unsupported[0]}")
        allowance = self._allowance
        start = opening(self._contender, MeasuringSession, allowance.threads, allowance.memory_bytes)
        variables = environment(self._contender, allowance.threads)
        with self._launcher(start, variables, allowance.timeout_s) as worker:
            prepared = worker.ask(Prepare(problem, 0, 1e-3, min(0.05, allowance.time_s)), allowance.timeout_s)
            if isinstance(prepared, Failed):
                return Trial(length, None, f"{prepared.status}: {prepared.reason}")
            if prepared.call_s > allowance.time_s:
                return Trial(length, None, f"{prepared.call_s:.3g} s a call")
            found = self._verified(worker, problem)
        return Trial(length, None, f"{found.status}: {found.reason}") if found else Trial(length, prepared.call_s)

    def _verified(self, worker: Worker, problem: Problem) -> Failed | None:
        answers = Answers(self._operator, problem, 0, random.Random(problem.name))
        answers.renew()
        revealed = worker.ask(Reveal(rows_of(answers.first)), self._allowance.timeout_s)
        found = revealed if isinstance(revealed, Failed) else judged(self._operator, revealed, answers.first)
        return found if isinstance(found, Failed) else None


def of_length(problem: Problem, length: int) -> Problem:
    """The problem with every length that is the same as the largest replaced: of one query against a cache, the cache's."""
    lengths = {name: getattr(problem, name) for name in problem.LENGTHS}
    largest = max(value for value in lengths.values() if value is not None)
    return problem.replace(**{name: length for name, value in lengths.items() if value == largest})
