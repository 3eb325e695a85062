"""Every case that an implementation declares to support, and problems drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from harness.conformance.examiner import Examiner
from harness.conformance.findings import failure
from harness.conformance.suite.examine import RANDOM, Living, Subject
from harness.conformance.suite.plugin import FAILURE, SUBJECTS
from harness.conformance.suite.summary import as_property
from harness.conformance.tally import PASSING
from harness.conformance.verdict import Verdict
from harness.operators.case import Case
from harness.operators.problem import Problem

EXAMPLES, EXAMPLES_OF_SLOW_BUILDS = 25, 2
LONGEST, LONGEST_SIMULATED = 40, 6
DRAWN = ("values", "gradients")
"""What is checked of problems drawn at random, beside the operator's properties."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = metafunc.config.stash.get(SUBJECTS, [])
    if not chosen:
        pytest.exit("harness: name an implementation: --implementation package.module:name", pytest.ExitCode.USAGE_ERROR)
    parametrize(metafunc, chosen, metafunc.config.getoption("--every-case"))


def parametrize(metafunc: pytest.Metafunc, chosen: Sequence[Subject], full: bool) -> None:
    """The cases of each subject, or what is drawn at random for it; a subject without cases has one that fails."""
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("examined, case", [one for each in chosen for one in _of_cases(each, full)])
    elif "check" in metafunc.fixturenames:
        metafunc.parametrize("examined, check", [one for each in chosen for one in _of_checks(each, full)])


def parameter(examined: Subject, value: object, name: str, *marks: pytest.MarkDecorator) -> Any:
    """A parameter `examined, value`; one process of pytest-xdist has all those of a subject."""
    group = pytest.mark.xdist_group(examined.label)
    return pytest.param(examined, value, id=f"{examined.label}-{name}", marks=[group, *marks])


def skipped(examined: Subject, reason: str) -> Any:
    """In place of a subject's parameters."""
    return parameter(examined, None, "skipped", pytest.mark.skip(reason=f"{examined.name}: {reason}"))


def _of_cases(examined: Subject, full: bool) -> Iterator[Any]:
    if examined.contender.absent:
        yield skipped(examined, examined.contender.absent)
        return
    cases = examined.cases(full)
    for case in cases:
        slow = examined.implementation.slow_build or examined.simulated
        yield parameter(examined, case, case.id, *([pytest.mark.quick] if case.core and not slow else []))
    if not cases:  # An item that fails: without one, pytest would end as if all had passed.
        yield parameter(examined, None, "nothing-examined", pytest.mark.quick)


def _of_checks(examined: Subject, full: bool) -> Iterator[Any]:
    if examined.contender.absent or not examined.cases(full):
        yield skipped(examined, examined.contender.absent or "supports no case")
        return
    # A property takes several calls of each problem, and a call in the simulator takes a second.
    properties = () if examined.simulated else examined.implementation.operator.properties
    for check in (*DRAWN, *properties):
        yield parameter(examined, check, f"{RANDOM}-{check}")


@pytest.fixture(scope="session")
def living() -> Iterator[Living]:
    alive = Living()
    yield alive
    alive.end()


@pytest.fixture
def examiner(examined: Subject, living: Living) -> Iterator[Examiner]:
    with examined.surroundings():
        yield living.of(examined)


@pytest.fixture
def conclude(
    examined: Subject, living: Living, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> Callable[[Verdict], None]:
    """`conclude(verdict)` fails for the first failure of its kind, and counts the others as expected failures."""

    def end(verdict: Verdict) -> None:
        __tracebackhide__ = True
        news = living.tally(examined).add(verdict)
        if verdict.status in PASSING:
            return
        repeat = examined.repetition(verdict.case)
        record_property(FAILURE, as_property(examined.name, verdict, repeat))
        if not news and not pytestconfig.getoption("--every-failure"):
            first, kind = living.tally(examined).like(verdict)
            pytest.xfail(f"as {first.case.id}: {kind}")
        # Under --runxfail the line above does nothing.
        pytest.fail(failure(examined.name, verdict, repeat), pytrace=False)

    return end


def test_case(
    examined: Subject,
    case: Case | None,
    examiner: Examiner,
    conclude: Callable[[Verdict], None],
    pytestconfig: pytest.Config,
) -> None:
    if case is None:
        pytest.fail(examined.nothing_examined(pytestconfig.getoption("--every-case")), pytrace=False)
    conclude(examiner.examine(case))


def test_random_problems(examined: Subject, check: str, examiner: Examiner, conclude: Callable[[Verdict], None]) -> None:
    """The oracle on problems that nobody wrote down, and the properties that need none."""
    hypothesis = pytest.importorskip("hypothesis", reason="hypothesis draws the problems; pip install hypothesis")
    implementation, operator = examined.implementation, examined.implementation.operator
    backward = check == "gradients" or check in operator.gradient_properties
    supports = implementation.supports_on(examined.contender.device)
    if backward and not supports.gradients:
        pytest.skip(f"{examined.name} declares no gradients")
    drawn = operator.random_problems(supports, LONGEST_SIMULATED if examined.simulated else LONGEST, backward)
    if drawn is None:
        pytest.skip(f"{operator.name} has no random problems")
    if check in operator.properties:
        drawn = drawn.filter(lambda problem: operator.applies(check, problem))
    slow = implementation.slow_build or examined.simulated

    @hypothesis.settings(
        max_examples=EXAMPLES_OF_SLOW_BUILDS if slow else EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate] if slow else list(hypothesis.Phase),
    )
    @hypothesis.given(problem=drawn, seed=hypothesis.strategies.integers(0, 2**16))
    def holds(problem: Problem, seed: int) -> None:
        judged_by = check if check in operator.properties else "values"
        verdict = examiner.examine(Case(RANDOM, check, problem, check=judged_by, seed=seed))
        if verdict.status not in PASSING:
            failures.append(verdict)
            pytest.fail(failure(examined.name, verdict, examined.repetition(verdict.case)), pytrace=False)

    failures: list[Verdict] = []
    try:
        holds()
    except pytest.fail.Exception:  # The last of the failures is the smallest that was found.
        conclude(failures[-1])
    except hypothesis.errors.Unsatisfiable:
        pytest.skip(f"{examined.name} supports no problem to which {check} applies")
