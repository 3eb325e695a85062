"""What the suite says of a fault."""

import faulthandler
import functools
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass

from harness.conformance.answers import Answers
from harness.conformance.cases import all_cases
from harness.conformance.examiner import WROTE
from harness.conformance.verdict import Verdict, judge
from harness.errors import Status
from harness.frameworks import adapter
from harness.operators.answer import Expected, load
from harness.operators.base import Operator
from harness.operators.case import Case
from tests.faults.catalogue import FAULTS
from tests.faults.faulty import as_implementation

CLEARLY_WRONG = 100.0
"""An error over its bound beyond which rounding has no part in it."""


@dataclass(frozen=True)
class Rejection:
    """The first case of every chapter that finds a fault incorrect; a crash rejects nothing."""

    verdicts: tuple[Verdict, ...]
    core: bool = False
    """Whether core cases do; only where none does are the others tried."""

    @property
    def chapters(self) -> list[str]:
        return [verdict.case.chapter for verdict in self.verdicts]

    @property
    def cause(self) -> str:
        """The first sentence of the first cause that is given and that does not differ between machines, or ""."""
        told = (v for v in self.verdicts if v.cause and v.cause.text and not v.cause.text.startswith("Note "))
        causes = (verdict.cause.text for verdict in told if not _chosen_by_rounding(verdict))
        return next(causes, "").partition(". ")[0].rstrip(".")


def _chosen_by_rounding(verdict: Verdict) -> bool:
    """Whether the cause names a place among errors little larger than their bounds: others may be wrong elsewhere."""
    near = verdict.accuracy is not None and verdict.accuracy.error_over_bound < CLEARLY_WRONG
    return near and verdict.cause.text.startswith("Wrong only")


@functools.cache
def rejection(fault_id: str) -> Rejection:
    """Judge a fault by the core cases, chapter by chapter, each until a case finds it incorrect; else by the others."""
    subject = FAULTS[fault_id].subject_class
    found: dict[str, Verdict] = {}
    for number, cases in enumerate(_cases(subject.operator)):
        for case in cases:
            if case.chapter not in found:
                verdict = verdict_on(case, subject)
                if verdict.status is Status.INCORRECT:
                    found[case.chapter] = verdict
        if found:
            return Rejection(tuple(found.values()), core=number == 0)
    return Rejection(())


@functools.cache
def _cases(operator: Operator) -> tuple[tuple[Case, ...], ...]:
    """The core cases, the others for what none of them rejects, and those that take long for what is left."""
    core = tuple(case for case in all_cases(operator) if case.core)
    others = tuple(case for case in all_cases(operator) if not case.core)
    return core, tuple(case for case in others if not case.long), tuple(case for case in others if case.long)


def verdicts(subject: type) -> Iterator[Verdict]:
    """Every verdict on an attention or a layer."""
    return (verdict_on(case, subject) for case in all_cases(subject.operator))


def verdict_on(case: Case, subject: type) -> Verdict:
    """One case in this process, as if it were the first; in another where writing to an input ends it."""
    subject.forget()
    if case.inputs != "protected":
        return _judged(case, subject)
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe(duplex=False)

    def judge_and_send() -> None:
        faulthandler.disable()  # pytest's would print where it ended, which is meant.
        its.send(_judged(case, subject))

    child = context.Process(target=judge_and_send)
    child.start()
    its.close()
    try:
        return mine.recv()
    except EOFError:
        return Verdict(case, Status.INCORRECT, WROTE)
    finally:
        child.join()


def _judged(case: Case, subject: type) -> Verdict:
    def cached_oracle(case, inputs):
        key = subject.operator.name, case
        if key not in _ANSWERS:
            shared = Answers.shared(subject.operator)
            expected = subject.operator.expected
            _ANSWERS[key] = load(shared.path(case)) if shared else expected(case.problem, inputs, case.seed)
        return _ANSWERS[key]

    return judge(case, as_implementation(subject.__name__, subject), adapter("numpy")("cpu", 1), answer=cached_oracle)


_ANSWERS: dict[tuple[str, Case], Expected] = {}
