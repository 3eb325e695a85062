"""Checks that take more than one call of the same implementation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.frameworks import Framework
from harness.operators import checks
from harness.operators.answer import Expected
from harness.operators.base import Arrays, Operator
from harness.operators.case import Case
from harness.operators.problem import Problem
from harness.plugins.bound_call import BoundCall
from harness.plugins.implementation import Implementation
from harness.records.accuracy import Accuracy

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
    call: BoundCall
    inputs: Arrays
    outputs: Arrays

    @property
    def operator(self) -> Operator:
        return self.implementation.operator

    def arrays(self, problem: Problem, seed: int) -> Arrays:
        """The case's arrays with another seed, or for another problem."""
        return self.operator.vary(problem, self.case.inputs, seed)

    def expected(self, inputs: Arrays) -> Expected:
        """The oracle's answer for other arrays."""
        return self.operator.expected(self.case.problem, inputs, self.case.seed)

    def finding(self, accuracy: Accuracy) -> str:
        return checks.finding(accuracy, self.operator.exactly)

    def another(self, problem: Problem, seed: int) -> BoundCall:
        """The implementation built anew, with other arrays."""
        call = BoundCall(self.implementation, self.framework, problem)
        call.bind(self.arrays(problem, seed))
        return call

    def solve(self, problem: Problem, inputs: Arrays) -> Arrays:
        """The outputs for a problem, built anew."""
        call = BoundCall(self.implementation, self.framework, problem)
        call.bind(inputs)
        return call.outputs(call.call_and_synchronize())


def _repeated(trial: Trial, calls: int) -> str | None:
    for number in range(calls):
        again = trial.call.outputs(trial.call.call_and_synchronize())
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
    return checks.changed_input(trial.arrays(trial.case.problem, trial.case.seed), trial.call.inputs_now())


def _alternate(trial: Trial) -> str | None:
    """A call with other arrays in between changes nothing: of the same shape, or of another that it supports."""
    supports = trial.implementation.supports_on(trial.framework.device)
    for name, other in trial.operator.neighbours(trial.case.problem):
        if supports.unsupported_reasons(other):
            continue
        trial.another(other, trial.case.seed + 1).call_and_synchronize()
        again = trial.call.outputs(trial.call.call_and_synchronize())
        if wrong := checks.different(trial.outputs, again):
            return f"after a call with {name}: {wrong}"
    return None


def _new_values(trial: Trial) -> str | None:
    """The same callable with other arrays of the same shape."""
    inputs = trial.arrays(trial.case.problem, trial.case.seed + 1)
    return _bound_to(trial, inputs, "the second set of arrays")


def _bound_to(trial: Trial, inputs: Arrays, what: str) -> str | None:
    """The callable's answer for other arrays, against the oracle's."""
    answer = trial.expected(inputs)
    trial.call.bind(inputs)
    found = checks.accuracy(trial.call.outputs(trial.call.call_and_synchronize()), answer)
    return None if found.correct else f"{what}: {trial.finding(found)}"


def _same_buffers(trial: Trial) -> str | None:
    """Other values in the same arrays, as of a caller who keeps buffers: who knows them by address answers as before."""
    problem, call = trial.case.problem, trial.call
    if call.copied_inputs():
        raise NotExamined(f"the adapter of {trial.implementation.framework} copies the arrays it is given")
    loaded = {name: x for name, x in trial.inputs.items() if name in trial.operator.parameters}
    for seed in (trial.case.seed + 1, trial.case.seed + 2):
        inputs = {**trial.arrays(problem, seed), **loaded}
        call.overwrite(inputs)
        found = checks.accuracy(call.outputs(call.call_and_synchronize()), trial.expected(inputs))
        if not found.correct:
            return f"other values in the same arrays: {trial.finding(found)}"
    return None


def _small_changes(trial: Trial) -> str | None:
    """Arrays that hardly differ."""
    pristine = trial.arrays(trial.case.problem, trial.case.seed)
    for name, inputs in trial.operator.small_changes(trial.case.problem, pristine):
        if wrong := _bound_to(trial, inputs, f"after a call with the same arrays but for {name}"):
            return wrong
    return None


def _apart(trial: Trial) -> str | None:
    """An output shares no memory with an input, and a later call does not change it."""
    result = trial.call.call_and_synchronize()
    outputs = trial.call.outputs(result)
    for name, output in outputs.items():
        for other, given in trial.call.inputs_now().items():
            if output.size and np.shares_memory(output, given):
                return f"the output {name} shares memory with the input {other}; it belongs to the caller"
    before = {name: output.copy() for name, output in outputs.items()}
    trial.another(trial.case.problem, trial.case.seed + 1).call_and_synchronize()
    trial.call.bind(trial.arrays(trial.case.problem, trial.case.seed + 1))
    trial.call.call_and_synchronize()
    if wrong := checks.different(before, trial.call.outputs(result)):
        return f"a later call changed the output of an earlier one: {wrong.partition(' between')[0]}"
    return None


def _concurrent(trial: Trial) -> str | None:
    """Two threads, each with arrays of its own, get what they get alone."""
    return _at_once([trial.call, trial.another(trial.case.problem, trial.case.seed + 1)], "with a second thread calling too")


def _concurrent_shared(trial: Trial) -> str | None:
    """Two threads with the very same arrays get what they get alone: who writes to them for a moment spoils the other's."""
    other = BoundCall(trial.implementation, trial.framework, trial.case.problem)
    other.bind(trial.inputs)
    return _at_once([trial.call, other], "with a second thread that is given the same arrays")


def _at_once(bound: list[BoundCall], when: str) -> str | None:
    alone = [call.outputs(call.call_and_synchronize()) for call in bound]
    alone = [{name: x.copy() for name, x in outputs.items()} for outputs in alone]
    barrier = threading.Barrier(len(bound))
    results: list[list[dict[str, np.ndarray]]] = [[] for _ in bound]
    raised: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(CONCURRENT_CALLS):
                barrier.wait(timeout=60)
                results[number].append(bound[number].outputs(bound[number].call_and_synchronize()))
        except BaseException as error:
            raised.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(bound))]
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
