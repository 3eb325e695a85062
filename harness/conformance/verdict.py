"""Judging one case: build, call, compare. Runs where the implementation's framework is, in a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.conformance.calls import CALLS, NotExamined, Trial
from harness.errors import Status, describe
from harness.frameworks import Framework
from harness.operators import checks
from harness.operators.answer import Expected
from harness.operators.attention import properties
from harness.operators.attention.diagnosis.output import likely_cause
from harness.operators.attention.inputs import Inputs
from harness.operators.attention.reference import expected
from harness.operators.attention.storage import PLACES
from harness.operators.attention.variations import vary
from harness.operators.case import Case
from harness.operators.diagnosis.cause import Cause
from harness.plugins.bound_call import BoundCall
from harness.plugins.implementation import Implementation
from harness.records.accuracy import Accuracy

Answer = Callable[[Case, Inputs], Expected]


@dataclass(frozen=True)
class Verdict:
    """What came of one case. `OK`, `INCORRECT`, `UNSUPPORTED`, `ERROR`, or how the process died."""

    case: Case
    status: Status
    reason: str = ""
    accuracy: Accuracy | None = None
    cause: Cause | None = None
    """What the wrong output equals, or where it is wrong; None when it does not tell."""
    departure: bool = False
    """Whether the implementation declares that it fails here; `reason` is then its words."""


def oracle(case: Case, inputs: Inputs) -> Expected:
    """The oracle's answer to a case."""
    return expected(case.problem, inputs, case.seed)


def judge(case: Case, implementation: Implementation, framework: Framework, answer: Answer = oracle) -> Verdict:
    """Run one case; whatever the implementation raises becomes the verdict, unless it declares to depart there."""
    refusals = implementation.supports_on(framework.device).refusals(case.problem)
    if refusals:
        return Verdict(case, Status.UNSUPPORTED, "; ".join(refusals))
    verdict = _examine(case, implementation, framework, answer)
    declared = implementation.departs(case.id, framework.device)
    return _departed(verdict, declared) if declared else verdict


def _departed(verdict: Verdict, declared: str) -> Verdict:
    """A declared departure is unsupported while it fails; once it no longer does, the declaration is what is wrong."""
    if verdict.status is Status.OK:
        reason = f"is declared to fail here ({declared}), and passes; take the entry out of the declaration"
        return replace(verdict, status=Status.ERROR, reason=reason)
    return Verdict(verdict.case, Status.UNSUPPORTED, declared, verdict.accuracy, departure=True)


def _examine(case: Case, implementation: Implementation, framework: Framework, answer: Answer) -> Verdict:
    inputs = vary(case.problem, case.inputs, case.seed)
    try:
        solver = BoundCall(implementation, framework, case.problem)
        solver.bind(inputs, where_they_lie=case.inputs in PLACES)
        if case.inputs in PLACES and (copied := solver.copied_inputs()):
            reason = f"not examined: the adapter of {implementation.framework} copies {', '.join(copied)} given like this"
            return Verdict(case, Status.UNSUPPORTED, reason)
        # Copies: a later call may write into the array that the first one returned.
        outputs = {name: array.copy() for name, array in solver.outputs(solver.call_and_synchronize()).items()}
        # The implementation may hold, and have written into, the very arrays that were made: the oracle gets its own.
        pristine = vary(case.problem, case.inputs, case.seed)
        wrong = checks.changed_input(pristine, solver.inputs_now()) or checks.wrong_form(case.problem, outputs)
        if wrong:
            return Verdict(case, Status.INCORRECT, wrong)
        right = answer(case, pristine)
        accuracy = checks.accuracy(outputs, right)
        if not accuracy.correct:
            cause = likely_cause(case.problem, pristine, outputs, right)
            return Verdict(case, Status.INCORRECT, checks.finding(accuracy), accuracy, cause)
        trial = Trial(case, implementation, framework, solver, inputs, outputs)
        if not wrong and case.check in CALLS:
            wrong = CALLS[case.check](trial)
        if not wrong and case.check in properties.NAMES:
            wrong = properties.holds(case.check, case.problem, inputs, trial.solve, case.seed)
    except NotExamined as reason:
        return Verdict(case, Status.UNSUPPORTED, f"not examined: {reason}")
    except Exception as error:  # An implementation may raise anything.
        return Verdict(case, Status.ERROR, describe(error))
    return Verdict(case, Status.INCORRECT if wrong else Status.OK, wrong or "", accuracy)
