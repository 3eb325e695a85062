"""A wrong output and all that its diagnosis may look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.operators import checks
from harness.operators.answer import Expected
from harness.operators.attention.diagnosis.variants import MAX_ELEMENTS
from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem


@dataclass(frozen=True)
class Failure:
    """An output outside its bound, at the rows that are checked."""

    problem: Problem
    inputs: Inputs
    got: Mapping[str, np.ndarray]
    """Float64."""
    answer: Expected
    wrong: Mapping[str, np.ndarray]
    """Boolean, an element each: those outside their bound, and what is not a number."""
    explicable: bool
    """Whether every row is checked, and the score matrix small enough to compute it again."""

    @classmethod
    def of(cls, problem: Problem, inputs: Inputs, outputs: Mapping[str, np.ndarray], answer: Expected) -> Failure:
        """What the outputs and the oracle's answer say."""
        got = {name: outputs[name].astype(np.float64)[:, :, tensor.rows] for name, tensor in answer.items()}
        wrong = {name: checks.outside(outputs[name][:, :, tensor.rows], tensor) for name, tensor in answer.items()}
        complete = all(len(tensor.rows) == tensor.length for tensor in answer.values())
        return cls(problem, inputs, got, answer, wrong, complete and problem.score_elements <= MAX_ELEMENTS)
