"""The diagnosis of an operator that has none of its own: the mistakes that it lists, and the place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.operators.diagnosis.cause import OUTSIDE, Cause
from harness.operators.diagnosis.equality import named, nearest
from harness.operators.diagnosis.failure import Failure
from harness.operators.diagnosis.mistake import Mistake
from harness.operators.diagnosis.places import where


def likely_cause(
    failure: Failure,
    mistakes: Iterable[tuple[Mistake, Mapping[str, np.ndarray]]],
    axes: Mapping[str, Sequence[str]],
) -> Cause:
    """Which of the mistakes, each with the outputs that it gives, was made, and where the first wrong output is wrong.

    `axes` has words for the axes of an output, by its name, where there are any.
    """
    with np.errstate(all="ignore"):
        found = nearest(((outputs, mistake) for mistake, outputs in mistakes), failure)
        said = named(found, "It equals") or Cause((OUTSIDE,))
        name = next((name for name, wrong in failure.wrong.items() if wrong.any()), None)
        if name is None:
            return said
        wrong = failure.wrong[name]
        place = where(wrong, failure.answer[name], axes.get(name) or [f"index of axis {n}" for n in range(wrong.ndim)])
    if place is None:
        return said
    return replace(said, kinds=said.kinds if said.text else place.kinds, text=f"{said.text} {place.text}".strip())
