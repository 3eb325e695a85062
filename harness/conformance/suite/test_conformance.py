"""Every case that an implementation declares to support, and problems drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from harness.conformance import properties
from harness.conformance.case import Case
from harness.conformance.pytest_plugin import SUBJECTS
from harness.conformance.suite.examine import Living, Subject, passes
from harness.measure.checker import Checker
from harness.problem import Problem
from harness.report.verdicts import line

EXAMPLES, EXAMPLES_OF_SLOW_BUILDS = 25, 2
LONGEST, LONGEST_SIMULATED = 40, 6
RANDOM = ("values", "gradients", *properties.NAMES)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = metafunc.config.stash.get(SUBJECTS, [])
    if not chosen:
        pytest.exit("harness: name an implementation: --implementation package.module:name", pytest.ExitCode.USAGE_ERROR)
    if "case" in metafunc.fixturenames:
        full = metafunc.config.getoption("--every-case")
        parametrize(metafunc, "case", chosen, lambda one: one.cases(full), lambda case: case.id)
    elif "check" in metafunc.fixturenames:
        parametrize(metafunc, "check", chosen, lambda one: RANDOM, lambda check: f"random-{check}")


def parametrize(
    metafunc: pytest.Metafunc,
    what: str,
    chosen: Sequence[Subject],
    values_of: Callable[[Subject], Sequence[Any]],
    id_of: Callable[[Any], str],
) -> None:
    """A parameter for each subject and value, and a skip with its reason for a subject that cannot run here."""
    parameters = []
    for one in chosen:
        group = pytest.mark.xdist_group(one.name)
        if one.contender.absent:
            skip = pytest.mark.skip(reason=f"{one.name}: {one.contender.absent}")
            parameters.append(pytest.param(one, None, id=one.name, marks=[group, skip]))
            continue
        for value in values_of(one):
            slow = one.implementation.slow_build or one.simulated
            quick = [pytest.mark.quick] if getattr(value, "core", False) and not slow else []
            parameters.append(pytest.param(one, value, id=f"{one.name}-{id_of(value)}", marks=[group, *quick]))
    metafunc.parametrize(f"examined, {what}", parameters)


@pytest.fixture(scope="session")
def living() -> Iterator[Living]:
    alive = Living()
    yield alive
    alive.end()


@pytest.fixture
def checker(examined: Subject, living: Living) -> Iterator[Checker]:
    with examined.surroundings():
        yield living.of(examined)


def test_case(examined: Subject, case: Case, checker: Checker) -> None:
    verdict = checker.check(case)
    if not passes(verdict.status):
        pytest.fail(line(examined.name, verdict, examined.repetition(case)), pytrace=False)


def test_random_problems(examined: Subject, check: str, checker: Checker) -> None:
    """The oracle on problems that nobody wrote down, and the properties that need none."""
    hypothesis = pytest.importorskip("hypothesis", reason="hypothesis draws the problems; pip install hypothesis")
    from harness.conformance.suite.random_problems import problems

    implementation, backward = examined.implementation, check == "gradients" or check in properties.BACKWARD
    supports = implementation.supports_on(examined.contender.device)
    if backward and not supports.gradients:
        pytest.skip(f"{examined.name} declares no gradients")
    drawn = problems(supports, LONGEST_SIMULATED if examined.simulated else LONGEST, backward)
    if check in properties.NAMES:
        drawn = drawn.filter(lambda problem: properties.applies(check, problem))
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
        case = Case("random", check, problem, check=check if check in properties.NAMES else "values", seed=seed)
        verdict = checker.check(case)
        if not passes(verdict.status):
            found = f"{verdict.status} {examined.name}, {problem.name}, seed {seed}: {verdict.reason}. {verdict.cause}"
            pytest.fail(found, pytrace=False)

    holds()
