"""A wrong output and all that its diagnosis may look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.operators import checks
from harness.operators.answer import Expected
from harness.operators.problem import Problem

MAX_ELEMENTS = 2**22
"""Intermediate elements beyond which a failure is not explained: the definition is computed dozens of times."""


@dataclass(frozen=True)
class Failure:
    """An output outside its bound, at the rows that are checked."""

    problem: Any
    inputs: Any
    """The arrays, as the operator's diagnosis takes them."""
    got: Mapping[str, np.ndarray]
    """Float64."""
    answer: Expected
    wrong: Mapping[str, np.ndarray]
    """Boolean, an element each: those outside their bound, and what is not a number."""
    explicable: bool
    """Whether every row is checked, and the problem small enough to compute it again."""

    @classmethod
    def of(cls, problem: Problem, inputs: Any, outputs: Mapping[str, np.ndarray], answer: Expected) -> Failure:
        """What the outputs and the oracle's answer say."""
        got = {name: tensor.checked(outputs[name].astype(np.float64)) for name, tensor in answer.items()}
        wrong = {name: checks.outside(tensor.checked(outputs[name]), tensor) for name, tensor in answer.items()}
        complete = all(tensor.complete for tensor in answer.values())
        return cls(problem, inputs, got, answer, wrong, complete and problem.intermediate_elements <= MAX_ELEMENTS)
