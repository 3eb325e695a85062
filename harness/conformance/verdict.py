"""Judging one case: build, call, compare. Runs where the implementation's framework is, in a worker."""

from __future__ import annotations

from dataclasses import dataclass

from harness.conformance import checks
from harness.conformance.cases import Case
from harness.conformance.inputs import vary
from harness.frameworks import Framework
from harness.inputs import Inputs
from harness.record import Accuracy, Status
from harness.reference import expected
from harness.registry import Implementation, describe
from harness.solver import Solver


@dataclass(frozen=True)
class Verdict:
    """What came of one case. `OK`, `INCORRECT`, `UNSUPPORTED`, `ERROR`, or how the process died."""

    case: Case
    status: Status
    reason: str = ""
    accuracy: Accuracy | None = None


def judge(case: Case, implementation: Implementation, framework: Framework) -> Verdict:
    """Run one case; whatever the implementation raises becomes the verdict."""
    refusals = implementation.supports_on(framework.device).refusals(case.problem)
    if refusals:
        return Verdict(case, Status.UNSUPPORTED, "; ".join(refusals))
    inputs = vary(case.problem, case.inputs, case.seed)
    try:
        solver = Solver(implementation, framework, case.problem)
        solver.bind(inputs)
        outputs = solver.outputs(solver.finished_call())
        wrong = checks.wrong_form(case.problem, outputs)
        if wrong:
            return Verdict(case, Status.INCORRECT, wrong)
        accuracy = checks.accuracy(outputs, expected(case.problem, inputs, case.seed))
        if not accuracy.correct:
            return Verdict(case, Status.INCORRECT, checks.finding(accuracy), accuracy)
        # The implementation may hold the very arrays that were made, so they are made again to compare with.
        wrong = checks.changed_input(vary(case.problem, case.inputs, case.seed), solver.inputs_now())
        if not wrong and case.check == "repeat":
            wrong = checks.different(outputs, solver.outputs(solver.finished_call()))
        if not wrong and case.check == "alternate":
            _call_another_shape(case, implementation, framework, inputs)
            wrong = checks.different(outputs, solver.outputs(solver.finished_call()))
    except Exception as error:  # An implementation may raise anything.
        return Verdict(case, Status.ERROR, describe(error))
    return Verdict(case, Status.INCORRECT if wrong else Status.OK, wrong or "", accuracy)


def _call_another_shape(case: Case, implementation: Implementation, framework: Framework, inputs: Inputs) -> None:
    problem = case.problem.replace(q_len=case.problem.q_len + 3, kv_len=case.problem.kv_len + 9)
    other = Solver(implementation, framework, problem)
    other.bind(vary(problem, case.inputs, case.seed + 1))
    other.finished_call()
