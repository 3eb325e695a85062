"""The diagnosis of an operator that has none of its own: the mistakes that it lists, and the place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.operators.answer import Expected
from harness.operators.diagnosis.cause import OUTSIDE, Cause
from harness.operators.diagnosis.equality import named, nearest
from harness.operators.diagnosis.failure import Failure
from harness.operators.diagnosis.places import where

if TYPE_CHECKING:
    from harness.operators.base import Operator


def likely_cause(
    operator: Operator, problem: Any, inputs: Any, outputs: Mapping[str, np.ndarray], answer: Expected
) -> Cause:
    """Which of the operator's mistakes the outputs equal, and where the first wrong one of them is wrong."""
    failure = Failure.of(problem, inputs, outputs, answer)
    with np.errstate(all="ignore"):
        candidates = ((given, mistake) for mistake, given in operator.mistakes(problem, inputs))
        said = named(nearest(candidates, failure), "It equals") or Cause((OUTSIDE,))
        name = next((name for name, wrong in failure.wrong.items() if wrong.any()), None)
        if name is None:
            return said
        axes = operator.axes.get(name) or [f"index {n}" for n in range(failure.wrong[name].ndim)]
        place = where(failure.wrong[name], answer[name], axes)
    if place is None:
        return said
    kinds = said.kinds if said.text else place.kinds
    return replace(said, kinds=kinds, text=f"{said.text} {place.text}".strip())
