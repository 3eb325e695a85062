"""An implementation on the problems of a grid, by the oracle's answers that all implementations share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.conformance.examiner import Examiner
from harness.conformance.verdict import Verdict
from harness.errors import Status
from harness.operators import checks
from harness.operators.answer import Expected, load, save
from harness.operators.attention.diagnosis.output import likely_cause
from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.operator import ATTENTION
from harness.operators.attention.reference import expected
from harness.operators.case import Case
from harness.problem import Problem
from harness.registry import Implementation, Supports
from harness.workers.messages import Failed
from tests.external.grids import Problems
from tests.external.grids.product import spread

SHAPES_OF_SLOW_BUILDS = 12
"""Of each project, where every new shape is compiled for seconds, and in plain Python."""

INTERPRETED_PRODUCTS = 2**23
"""Products of two numbers up to which a problem is run in plain Python, which takes a tenth of a microsecond for each."""

KEPT_BYTES = 16 * 2**30
"""Answers that are kept in files, beyond which they are computed anew."""


class Answers:
    """The oracle's answers, which take longer than most implementations: computed once a problem, and kept in a folder."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._bytes = 0

    def of(self, case: Case) -> Expected:
        """The answer to a case."""
        path = self._folder / f"{case.problem.name}.npz"
        if path.exists():
            return load(path)
        answer = expected(case.problem, make_inputs(case.problem, case.seed), case.seed)
        if self._bytes < KEPT_BYTES:
            save(answer, path)
            self._bytes += path.stat().st_size
        return answer


def sample(implementation: Implementation, supports: Supports, problems: Problems) -> list[Problem]:
    """What one is given: all, or where each takes seconds, a few that hold the most pairs, and what it refuses."""
    if not implementation.slow_build and not implementation.interpreted:
        return list(problems)
    most = INTERPRETED_PRODUCTS if implementation.interpreted else math.inf
    refused = [problem for problem in problems if supports.unsupported_reasons(problem)]
    affordable = [problem for problem in problems if problem not in refused and _products(problem) <= most]
    indices = spread([problems[problem] for problem in affordable], SHAPES_OF_SLOW_BUILDS)
    return [*(affordable[index] for index in indices), *refused]


def _products(problem: Problem) -> int:
    return problem.score_elements * (problem.head_dim + problem.v_head_dim)


def verdicts(
    examiner: Examiner, supports: Supports, project: str, problems: Iterable[Problem], answers: Answers
) -> Iterator[Verdict]:
    """What comes of each problem."""
    for problem in problems:
        case = Case(f"grid-{project}", problem.name, problem)
        unsupported = supports.unsupported_reasons(problem)
        yield Verdict(case, Status.UNSUPPORTED, "; ".join(unsupported)) if unsupported else judged(examiner, case, answers)


def judged(examiner: Examiner, case: Case, answers: Answers) -> Verdict:
    """Have a case solved, and compare the outputs with the oracle's."""
    inputs = make_inputs(case.problem, case.seed)
    outputs = examiner.solve(case.problem, inputs.arrays)
    if isinstance(outputs, Failed):
        return Verdict(case, outputs.status, outputs.reason)
    wrong = checks.wrong_form(case.problem, outputs)
    if wrong:
        return Verdict(case, Status.INCORRECT, wrong)
    answer = answers.of(case)
    accuracy = checks.accuracy(outputs, answer)
    if accuracy.correct:
        return Verdict(case, Status.OK, accuracy=accuracy)
    cause = likely_cause(case.problem, inputs, outputs, answer)
    return Verdict(case, Status.INCORRECT, checks.finding(accuracy, ATTENTION.exactly), accuracy, cause)
