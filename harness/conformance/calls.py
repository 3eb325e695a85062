"""Checks that take more than one call of the same implementation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.conformance import checks
from harness.conformance.case import Case
from harness.conformance.inputs import vary
from harness.frameworks import Framework
from harness.inputs import Inputs
from harness.problem import Problem
from harness.reference import expected
from harness.registry import Implementation
from harness.solver import Solver

REPEATS = 4
CONCURRENT_CALLS = 8


@dataclass(frozen=True)
class Trial:
    """A case being examined: its first call has been made, and was right."""

    case: Case
    implementation: Implementation
    framework: Framework
    solver: Solver
    inputs: Inputs
    outputs: dict[str, np.ndarray]

    def another(self, problem: Problem, seed: int) -> Solver:
        """The implementation built anew, with other arrays."""
        solver = Solver(self.implementation, self.framework, problem)
        solver.bind(vary(problem, self.case.inputs, seed))
        return solver

    def solve(self, problem: Problem, inputs: Inputs) -> dict[str, np.ndarray]:
        """The outputs for a problem, built anew."""
        solver = Solver(self.implementation, self.framework, problem)
        solver.bind(inputs)
        return solver.outputs(solver.finished_call())


def _repeat(trial: Trial) -> str | None:
    """Every further call gives the same bits."""
    for number in range(REPEATS):
        again = trial.solver.outputs(trial.solver.finished_call())
        if wrong := checks.different(trial.outputs, again):
            return f"call {number + 2}: {wrong}"
    return None


def _alternate(trial: Trial) -> str | None:
    """A call with other arrays in between changes nothing: of the same shape, longer, shorter."""
    problem = trial.case.problem
    for change in (0, 3, -5):
        other = problem.replace(q_len=problem.q_len + change, kv_len=problem.kv_len + 3 * change)
        trial.another(other, trial.case.seed + 1).finished_call()
        again = trial.solver.outputs(trial.solver.finished_call())
        if wrong := checks.different(trial.outputs, again):
            return f"after a call with {other.q_len} queries and {other.kv_len} keys: {wrong}"
    return None


def _new_values(trial: Trial) -> str | None:
    """The same callable with other arrays of the same shape."""
    inputs = vary(trial.case.problem, trial.case.inputs, trial.case.seed + 1)
    trial.solver.bind(inputs)
    outputs = trial.solver.outputs(trial.solver.finished_call())
    found = checks.accuracy(outputs, expected(trial.case.problem, inputs, trial.case.seed))
    return None if found.correct else f"the second set of arrays: {checks.finding(found)}"


def _concurrent(trial: Trial) -> str | None:
    """Two threads, each with arrays of its own, get what they get alone."""
    solvers = [trial.solver, trial.another(trial.case.problem, trial.case.seed + 1)]
    alone = [solver.outputs(solver.finished_call()) for solver in solvers]
    barrier = threading.Barrier(len(solvers))
    results: list[list[dict[str, np.ndarray]]] = [[] for _ in solvers]
    raised: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(CONCURRENT_CALLS):
                barrier.wait(timeout=60)
                results[number].append(solvers[number].outputs(solvers[number].finished_call()))
        except BaseException as error:
            raised.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(solvers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise next((e for e in raised if not isinstance(e, threading.BrokenBarrierError)), raised[0])
    for before, found in zip(alone, results, strict=True):
        for outputs in found:
            if wrong := checks.different(before, outputs):
                return f"with a second thread calling too: {wrong}"
    return None


CALLS: dict[str, Callable[[Trial], str | None]] = {
    "repeat": _repeat,
    "alternate": _alternate,
    "new-values": _new_values,
    "concurrent": _concurrent,
}
