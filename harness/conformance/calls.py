"""Checks that take more than one call of the same implementation."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from harness.frameworks import Framework
from harness.operators import checks
from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem
from harness.operators.attention.reference import expected
from harness.operators.attention.variations import vary
from harness.operators.case import Case
from harness.plugins.bound_call import BoundCall
from harness.plugins.implementation import Implementation

REPEATS = 4
MANY = 150
"""Calls that find one wrong in fifty three times, and a counter that runs over at 127."""
CONCURRENT_CALLS = 8


class NotExamined(Exception):
    """The check cannot be made with this framework; the message is the reason."""


@dataclass(frozen=True)
class Trial:
    """A case being examined: its first call has been made, and was right."""

    case: Case
    implementation: Implementation
    framework: Framework
    solver: BoundCall
    inputs: Inputs
    outputs: dict[str, np.ndarray]

    def another(self, problem: Problem, seed: int) -> BoundCall:
        """The implementation built anew, with other arrays."""
        solver = BoundCall(self.implementation, self.framework, problem)
        solver.bind(vary(problem, self.case.inputs, seed))
        return solver

    def solve(self, problem: Problem, inputs: Inputs) -> dict[str, np.ndarray]:
        """The outputs for a problem, built anew."""
        solver = BoundCall(self.implementation, self.framework, problem)
        solver.bind(inputs)
        return solver.outputs(solver.call_and_synchronize())


def _repeated(trial: Trial, calls: int) -> str | None:
    for number in range(calls):
        again = trial.solver.outputs(trial.solver.call_and_synchronize())
        if wrong := checks.different(trial.outputs, again):
            return f"call {number + 2}: {wrong}"
    return None


def _repeat(trial: Trial) -> str | None:
    """Every further call gives the same bits."""
    return _repeated(trial, REPEATS)


def _many(trial: Trial) -> str | None:
    """So do a great many, and they leave the inputs alone."""
    if wrong := _repeated(trial, MANY):
        return wrong
    return checks.changed_input(vary(trial.case.problem, trial.case.inputs, trial.case.seed), trial.solver.inputs_now())


def _alternate(trial: Trial) -> str | None:
    """A call with other arrays in between changes nothing: of the same shape, longer, shorter."""
    problem = trial.case.problem
    for change in (0, 3, -5):
        other = problem.replace(q_len=problem.q_len + change, kv_len=problem.kv_len + 3 * change)
        trial.another(other, trial.case.seed + 1).call_and_synchronize()
        again = trial.solver.outputs(trial.solver.call_and_synchronize())
        if wrong := checks.different(trial.outputs, again):
            return f"after a call with {other.q_len} queries and {other.kv_len} keys: {wrong}"
    return None


def _new_values(trial: Trial) -> str | None:
    """The same callable with other arrays of the same shape."""
    inputs = vary(trial.case.problem, trial.case.inputs, trial.case.seed + 1)
    return _bound_to(trial, inputs, "the second set of arrays")


def _bound_to(trial: Trial, inputs: Inputs, what: str) -> str | None:
    """The callable's answer for other arrays, against the oracle's."""
    answer = expected(trial.case.problem, inputs, trial.case.seed)
    trial.solver.bind(inputs)
    found = checks.accuracy(trial.solver.outputs(trial.solver.call_and_synchronize()), answer)
    return None if found.correct else f"{what}: {checks.finding(found)}"


def _same_buffers(trial: Trial) -> str | None:
    """Other values in the same arrays, as of a caller who keeps buffers: who knows them by address answers as before."""
    problem, solver = trial.case.problem, trial.solver
    if solver.copied_inputs():
        raise NotExamined(f"the adapter of {trial.implementation.framework} copies the arrays it is given")
    for seed in (trial.case.seed + 1, trial.case.seed + 2):
        inputs = vary(problem, trial.case.inputs, seed)
        solver.overwrite(inputs)
        found = checks.accuracy(solver.outputs(solver.call_and_synchronize()), expected(problem, inputs, trial.case.seed))
        if not found.correct:
            return f"other values in the same arrays: {checks.finding(found)}"
    return None


def _small_changes(trial: Trial) -> str | None:
    """Arrays that hardly differ: two keys swapped, which no sum shows, or one element in the middle of an array changed."""
    for name, inputs in _neighbours(trial):
        if wrong := _bound_to(trial, inputs, f"after a call with the same arrays but for {name}"):
            return wrong
    return None


def _neighbours(trial: Trial) -> Iterator[tuple[str, Inputs]]:
    pristine = vary(trial.case.problem, trial.case.inputs, trial.case.seed)
    kv_len = trial.case.problem.kv_len
    if kv_len > 3:
        k = pristine.k.copy()
        k[:, :, [1, 2]] = k[:, :, [2, 1]]
        yield "keys 1 and 2, which are swapped", dataclasses.replace(pristine, k=k)
    for name in ("q", "k", "v", "do", "mask", "bias"):
        array = getattr(pristine, name)
        if array is None:
            continue
        changed = array.copy()
        middle = tuple(size // 2 for size in changed.shape)
        changed[middle] = not changed[middle] if name == "mask" else -2 * changed[middle] + 1
        yield f"one element of {name}", dataclasses.replace(pristine, **{name: changed})


def _apart(trial: Trial) -> str | None:
    """An output shares no memory with an input, and a later call does not change it."""
    result = trial.solver.call_and_synchronize()
    outputs = trial.solver.outputs(result)
    for name, output in outputs.items():
        for other, given in trial.solver.inputs_now().items():
            if output.size and np.shares_memory(output, given):
                return f"the output {name} shares memory with the input {other}; it belongs to the caller"
    before = {name: output.copy() for name, output in outputs.items()}
    trial.another(trial.case.problem, trial.case.seed + 1).call_and_synchronize()
    trial.solver.bind(vary(trial.case.problem, trial.case.inputs, trial.case.seed + 1))
    trial.solver.call_and_synchronize()
    if wrong := checks.different(before, trial.solver.outputs(result)):
        return f"a later call changed the output of an earlier one: {wrong.partition(' between')[0]}"
    return None


def _concurrent(trial: Trial) -> str | None:
    """Two threads, each with arrays of its own, get what they get alone."""
    return _at_once(
        [trial.solver, trial.another(trial.case.problem, trial.case.seed + 1)], "with a second thread calling too"
    )


def _concurrent_shared(trial: Trial) -> str | None:
    """Two threads with the very same arrays get what they get alone: who writes to them for a moment spoils the other's."""
    other = BoundCall(trial.implementation, trial.framework, trial.case.problem)
    other.bind(trial.inputs)
    return _at_once([trial.solver, other], "with a second thread that is given the same arrays")


def _at_once(solvers: list[BoundCall], when: str) -> str | None:
    alone = [solver.outputs(solver.call_and_synchronize()) for solver in solvers]
    alone = [{name: x.copy() for name, x in outputs.items()} for outputs in alone]
    barrier = threading.Barrier(len(solvers))
    results: list[list[dict[str, np.ndarray]]] = [[] for _ in solvers]
    raised: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(CONCURRENT_CALLS):
                barrier.wait(timeout=60)
                results[number].append(solvers[number].outputs(solvers[number].call_and_synchronize()))
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
                return f"{when}: {wrong}"
    return None


CALLS: dict[str, Callable[[Trial], str | None]] = {
    "repeat": _repeat,
    "alternate": _alternate,
    "many": _many,
    "new-values": _new_values,
    "same-buffers": _same_buffers,
    "small-changes": _small_changes,
    "apart": _apart,
    "concurrent": _concurrent,
    "concurrent-shared": _concurrent_shared,
}
