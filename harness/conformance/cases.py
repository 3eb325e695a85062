"""All the cases of an operator, and which of them an implementation is given."""

from __future__ import annotations

import functools

from harness.operators.base import Operator
from harness.operators.case import Case
from harness.plugins.implementation import Implementation

SIMULATED_ELEMENTS, SIMULATED_CORE_ELEMENTS = 150, 900
"""Intermediate elements up to which any case, and a core case, is run in the CUDA simulator: it takes a second for each."""


@functools.cache
def all_cases(operator: Operator) -> tuple[Case, ...]:
    """Every case of an operator, chapter by chapter; ids are unique."""
    return tuple(operator.cases())


def select(implementation: Implementation, *, simulated: bool = False, full: bool = False) -> list[Case]:
    """The cases for an implementation: the core ones where every shape is compiled for seconds, no long ones where plain
    Python runs, unless `full`.

    In the CUDA simulator the small ones; it runs one kernel at a time, so two threads at once cannot be tried there.
    """

    def simulable(case: Case) -> bool:
        most = SIMULATED_CORE_ELEMENTS if case.core else SIMULATED_ELEMENTS
        elements = case.problem.intermediate_elements
        return not case.check.startswith("concurrent") and case.check != "many" and elements <= most

    def affordable(case: Case) -> bool:
        one = implementation
        return full or ((case.core or not one.slow_build) and not (case.long and one.interpreted))

    cases = all_cases(implementation.operator)
    return [case for case in cases if affordable(case) and (not simulated or simulable(case))]
