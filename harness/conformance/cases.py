"""All the cases, and which of them an implementation is given."""

from __future__ import annotations

import functools

from harness.operators.attention.cases import CHAPTERS
from harness.operators.case import Case

SIMULATED_ELEMENTS, SIMULATED_CORE_ELEMENTS = 150, 900
"""Score elements up to which any case, and a core case, is run in the CUDA simulator: it takes milliseconds for each."""


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Every case, chapter by chapter; ids are unique."""
    return tuple(case for chapter in CHAPTERS for case in chapter.cases())


def select(
    *, slow_build: bool = False, interpreted: bool = False, simulated: bool = False, full: bool = False
) -> list[Case]:
    """The cases for an implementation: the core ones where every shape is compiled for seconds, no long ones where plain
    Python runs, unless `full`.

    In the CUDA simulator the small ones; it runs one kernel at a time, so two threads at once cannot be tried there.
    """

    def simulable(case: Case) -> bool:
        most = SIMULATED_CORE_ELEMENTS if case.core else SIMULATED_ELEMENTS
        return not case.check.startswith("concurrent") and case.check != "many" and case.problem.score_elements <= most

    def affordable(case: Case) -> bool:
        return full or ((case.core or not slow_build) and not (case.long and interpreted))

    return [case for case in all_cases() if affordable(case) and (not simulated or simulable(case))]
