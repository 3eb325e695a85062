"""Judging one case: build, call, compare. Runs where the implementation's framework is, in a worker."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.conformance.calls import CALLS, NotExamined, Trial
from harness.errors import Status, describe
from harness.frameworks import Framework
from harness.operators import checks
from harness.operators.answer import Expected
from harness.operators.base import Arrays
from harness.operators.case import Case
from harness.operators.diagnosis.cause import Cause
from harness.plugins.bound_call import BoundCall
from harness.plugins.implementation import Implementation
from harness.records.accuracy import Accuracy

Answer = Callable[[Case, Arrays], Expected]


@dataclass(frozen=True)
class Verdict:
    """What came of one case. `OK`, `INCORRECT`, `UNSUPPORTED`, `ERROR`, or how the process died."""

    case: Case
    status: Status
    reason: str = ""
    accuracy: Accuracy | None = None
    cause: Cause | None = None
    """What the wrong output equals, or where it is wrong; None when it does not tell."""
    known_failure: bool = False
    """Whether the implementation declares that it fails here; `reason` is then its words."""


def judge(case: Case, implementation: Implementation, framework: Framework, answer: Answer | None = None) -> Verdict:
    """Run one case; whatever the implementation raises becomes the verdict, unless it declares to fail there.

    `answer` gives the right outputs, the oracle unless something keeps its answers.
    """
    unsupported = implementation.supports_on(framework.device).unsupported_reasons(case.problem)
    if unsupported:
        return Verdict(case, Status.UNSUPPORTED, "; ".join(unsupported))
    verdict = _examine(case, implementation, framework, answer or oracle_of(implementation))
    declared = implementation.known_failure(case.id, framework.device)
    return _known_to_fail(verdict, declared) if declared else verdict


def _known_to_fail(verdict: Verdict, declared: str) -> Verdict:
    """A known failure is unsupported while it fails; once it no longer does, the declaration is what is wrong."""
    if verdict.status is Status.OK:
        reason = f"is declared to fail here ({declared}), and passes; take the entry out of the declaration"
        return replace(verdict, status=Status.ERROR, reason=reason)
    return Verdict(verdict.case, Status.UNSUPPORTED, declared, verdict.accuracy, known_failure=True)


def oracle_of(implementation: Implementation) -> Answer:
    """The oracle's answers to the cases of its operator."""
    return lambda case, inputs: implementation.operator.expected(case.problem, inputs, case.seed)


def _examine(case: Case, implementation: Implementation, framework: Framework, answer: Answer) -> Verdict:
    operator = implementation.operator
    elsewhere = operator.lies_elsewhere(case.inputs)
    inputs = operator.vary(case.problem, case.inputs, case.seed)
    try:
        call = BoundCall(implementation, framework, case.problem)
        call.bind(inputs, where_they_lie=elsewhere)
        if elsewhere and (copied := call.copied_inputs()):
            reason = f"not examined: the adapter of {implementation.framework} copies {', '.join(copied)} given like this"
            return Verdict(case, Status.UNSUPPORTED, reason)
        # Copies: a later call may write into the array that the first one returned.
        outputs = {name: array.copy() for name, array in call.outputs(call.call_and_synchronize()).items()}
        # The implementation may hold, and have written into, the very arrays that were made: the oracle gets its own.
        pristine = operator.vary(case.problem, case.inputs, case.seed)
        wrong = checks.changed_input(pristine, call.inputs_now()) or checks.wrong_form(case.problem, outputs)
        if wrong:
            return Verdict(case, Status.INCORRECT, wrong)
        right = answer(case, pristine)
        accuracy = checks.accuracy(outputs, right)
        if not accuracy.correct:
            cause = operator.likely_cause(case.problem, pristine, outputs, right)
            return Verdict(case, Status.INCORRECT, checks.finding(accuracy, operator.exactly), accuracy, cause)
        trial = Trial(case, implementation, framework, call, inputs, outputs)
        if case.check in CALLS:
            wrong = CALLS[case.check](trial)
        elif case.check in operator.properties:
            wrong = operator.holds(case.check, case.problem, inputs, trial.solve, case.seed)
    except NotExamined as reason:
        return Verdict(case, Status.UNSUPPORTED, f"not examined: {reason}")
    except Exception as error:  # An implementation may raise anything.
        traceback.print_exc()
        return Verdict(case, Status.ERROR, describe(error))
    return Verdict(case, Status.INCORRECT if wrong else Status.OK, wrong or "", accuracy)
