"""The well-known mistakes in attention that an output equals."""

from __future__ import annotations

from harness.operators.attention.diagnosis.variants import gradient_variants, pairs, variants
from harness.operators.diagnosis.equality import nearest
from harness.operators.diagnosis.failure import Failure
from harness.operators.diagnosis.mistake import Mistake


def equal_output(failure: Failure) -> list[Mistake]:
    """The mistakes that give this output."""
    if not failure.explicable:
        return []
    for family in (variants, pairs):
        candidates = (({"o": o}, mistake) for mistake, o in family(failure.problem, failure.inputs))
        if found := nearest(candidates, failure):
            return found
    return []


def equal_gradients(failure: Failure) -> list[Mistake]:
    """The mistakes in a forward pass whose gradients these are."""
    if not failure.explicable:
        return []
    candidates = ((gradients, mistake) for mistake, gradients in gradient_variants(failure.problem, failure.inputs))
    return nearest(candidates, failure)
