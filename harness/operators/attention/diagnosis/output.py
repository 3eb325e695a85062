"""What a wrong output tells of its cause: which mistake it equals, or else where it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from harness.operators.answer import Expected
from harness.operators.attention.diagnosis.equal import equal_output
from harness.operators.attention.diagnosis.gradients import wrong_gradients
from harness.operators.attention.diagnosis.misreadings import unusual
from harness.operators.attention.diagnosis.overflow import may_be_misfit, misfit
from harness.operators.attention.diagnosis.rounding import coarse, may_be_coarse
from harness.operators.attention.diagnosis.variants import NO_KEY_IS_NAN, Formula
from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import AXES, Problem
from harness.operators.attention.properties import admitted_keys
from harness.operators.diagnosis.cause import OUTSIDE, Cause
from harness.operators.diagnosis.equality import formula_kinds, named
from harness.operators.diagnosis.failure import MAX_ELEMENTS, Failure
from harness.operators.diagnosis.places import where
from harness.operators.diagnosis.wording import are, listed

SATURATED = 0.99
"""A weight above this is nearly all of its row."""

NOT_FINITE, NOT_ZERO = "not a number or infinite", "not zero where nothing is attended to"
"""Kinds of failures, beside `OUTSIDE`, that nothing else is told of."""


def likely_cause(problem: Problem, inputs: Inputs, outputs: Mapping[str, np.ndarray], answer: Expected) -> Cause:
    """Why the outputs are wrong, as far as they tell. `inputs` are the arrays as they were made, strides and all."""
    failure = Failure.of(problem, inputs, outputs, answer)
    with np.errstate(all="ignore"):
        return wrong_gradients(failure) if problem.direction == "backward" else _wrong_output(failure)


def _wrong_output(failure: Failure) -> Cause:
    place = where(failure.wrong["o"], failure.answer["o"], AXES["o"], _right_anyhow(failure))
    zero = _zero(failure.got["o"], failure.wrong["o"], place)
    equal = equal_output(failure)
    size = misfit(failure, "o")
    if zero is not None and size is not None:
        return Cause(size.kinds, f"{zero.text} {size.text}", zero.kinds)
    if zero is not None:  # Zeros equal many mistakes by accident.
        return replace(zero, may_be=formula_kinds(equal))
    said = named(equal, "It equals") or _nan_without_keys(failure) or size or coarse(failure) or _saturated(failure)
    if said is not None:
        return replace(_with_text(said, place), may_be=(*may_be_coarse(failure), *_by_itself(failure)))
    may_be = (*formula_kinds(equal), *may_be_misfit(failure, "o"), *may_be_coarse(failure), OUTSIDE)
    return replace(_plain(failure, place), may_be=may_be)


def _plain(failure: Failure, place: Cause | None) -> Cause:
    """What is left to tell where no mistake is recognised."""
    storage = _storage(failure.inputs)
    if not failure.wrong["o"][failure.answer["o"].bound > 0].any():
        return _with_text(Cause((NOT_ZERO,)), place)
    if place is not None:
        return _with_text(place, storage)
    kind = NOT_FINITE if _by_itself(failure) else OUTSIDE
    return Cause((*storage.kinds, kind), storage.text) if storage else Cause((kind,))


def _by_itself(failure: Failure) -> tuple[str, ...]:
    """`NOT_FINITE` for an output that is not finite: other failures may show that no explanation of it fits them all."""
    return () if np.isfinite(failure.got["o"]).all() else (NOT_FINITE,)


def _with_text(cause: Cause, more: Cause | None) -> Cause:
    """A cause that also tells what another one tells."""
    return cause if more is None else replace(cause, text=f"{cause.text} {more.text}".strip())


def _zero(got: np.ndarray, wrong: np.ndarray, place: Cause | None) -> Cause | None:
    somewhere = "zero where it is wrong"
    if not got.any():
        return Cause(("zero everywhere", somewhere), "It is zero everywhere.")
    if not wrong.any() or got[wrong].any():
        return None
    only = f", {place.text.removeprefix('Wrong ')}" if place else "."
    return Cause((somewhere,), f"It is {somewhere}{only}")


def _nan_without_keys(failure: Failure) -> Cause | None:
    """All the rows that are not finite have nothing to attend to."""
    rows = ~np.isfinite(failure.got["o"]).all(axis=-1)
    if not failure.explicable or not rows.any() or admitted_keys(failure.problem, failure.inputs)[rows].any():
        return None
    kinds = ("nan where nothing is attended to", f"the formula {NO_KEY_IS_NAN.kinds[0]}")
    return Cause(kinds, "Rows with nothing to attend to are not a number; the contract says zero.")


def _saturated(failure: Failure) -> Cause | None:
    """The wrong rows are those in which one key has nearly all the weight."""
    if not failure.explicable:
        return None
    formula = Formula(failure.problem, failure.inputs)
    scores = formula.scores()
    several = scores.seen.sum(axis=-1) > 1
    saturated = several & (formula.weights(scores).max(axis=-1, initial=0.0) > SATURATED)
    wrong = failure.wrong["o"].any(axis=-1)
    if not wrong.any() or (wrong & ~saturated).any() or 2 * wrong.sum() < saturated.sum():
        return None
    kind = "wrong only in rows with nearly all their weight on one key"
    # Where every row is like that, any other fault would look the same.
    kinds = (kind,) if (several & ~saturated).any() else (kind, OUTSIDE)
    return Cause(kinds, "The wrong rows are those with nearly all their weight on one key.")


def _storage(inputs: Inputs) -> Cause | None:
    """What is unusual about the storage of the arrays: no proof, but the place to look when nothing else is known."""
    found = unusual(inputs)
    if not found:
        return None
    told = ", ".join(f"{listed(names)} {are(names)} {what}" for what, names in found.items())
    kinds = tuple(f"wrong with arrays that are {what}" for what in found)
    return Cause(kinds, f"Note how the inputs are stored: {told}.")


def _right_anyhow(failure: Failure) -> np.ndarray:
    """Boolean, as the checked rows: those right by themselves, with one key or none to attend to."""
    tensor = failure.answer["o"]
    if failure.problem.score_elements > MAX_ELEMENTS:
        return (tensor.bound == 0).all(axis=-1)
    return tensor.checked(admitted_keys(failure.problem, failure.inputs)).sum(axis=-1) < 2
