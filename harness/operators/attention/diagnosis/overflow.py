"""Rows that are zero or not a number because a number on the way to them does not fit its dtype."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.attention.diagnosis.variants import Formula, Scores
from harness.operators.diagnosis.cause import Cause
from harness.operators.diagnosis.failure import Failure

UNSUBTRACTED = "exp of scores without the row's maximum subtracted"
STARTS_ABOVE = "a row's maximum that does not start at -inf"
WHOLE_MATRIX = "the maximum of the whole matrix subtracted, not of each row"
HIDDEN_KEYS = "a row's maximum over keys that it may not attend to"
FIRST_KEYS = "the maximum of the first keys subtracted, not of all"
BEFORE_THE_SCALE = "q·k beyond its dtype before the scale"

FIRST = (8, 16, 32, 64, 128, 256)
"""Keys of a first tile, whose maximum may be taken for that of all."""


class Range:
    """What a dtype can hold, and where exp leaves it."""

    def __init__(self, dtype: str):
        self.dtype = dtype
        info = ml_dtypes.finfo(NUMPY_DTYPES[dtype])
        self.largest = float(info.max)
        self.exp_is_infinite = np.log(self.largest)
        """Above it."""
        self.exp_is_zero = np.log(float(info.smallest_subnormal)) - np.log(2)
        """Below it."""
        self.exp_is_subnormal = np.log(float(info.tiny))
        """Below it; exp may be zero."""


@dataclass(frozen=True)
class Misfit:
    """A number that does not fit, and the rows that it spoils: boolean, `(batch, q_heads, q_len)`."""

    cause: Cause
    may: np.ndarray
    must: np.ndarray


def misfit(failure: Failure, name: str) -> Cause | None:
    """What explains every wrong row that is zero or not finite, and would spoil no other; None when no size does."""
    spoilt = _spoilt(failure, name)
    found: dict[tuple[str, ...], Cause] = {}
    for one in _tried(failure, spoilt):
        if not (spoilt & ~one.may).any() and not (one.must & ~spoilt).any():
            found.setdefault(one.cause.kinds, one.cause)
    if not found:
        return None
    first, *others = (cause.text for cause in found.values())
    text = " ".join([first, *(f"Or {other[0].lower()}{other[1:]}" for other in others)])
    return Cause(tuple(dict.fromkeys(kind for kinds in found for kind in kinds)), text)


def may_be_misfit(failure: Failure, name: str) -> tuple[str, ...]:
    """The kinds of the numbers that may have spoilt some of the rows that are zero or not finite."""
    spoilt = _spoilt(failure, name)
    return tuple(kind for one in _tried(failure, spoilt) if (spoilt & one.may).any() for kind in one.cause.kinds)


def _spoilt(failure: Failure, name: str) -> np.ndarray:
    """Boolean, a row each: those that are wrong, and zero or not finite."""
    got = failure.got[name]
    return failure.wrong[name].any(axis=-1) & (~np.isfinite(got).all(axis=-1) | ~got.any(axis=-1))


def _tried(failure: Failure, spoilt: np.ndarray) -> Iterator[Misfit]:
    """Every number that may not fit, in the wider dtype first: what does not fit that is said of it."""
    if not failure.explicable or not spoilt.any():
        return
    dtype = failure.problem.dtype
    for held in dict.fromkeys(("float64", "float32") if dtype == "float64" else ("float32", dtype)):
        yield from _misfits(Formula(failure.problem, failure.inputs), Range(held))


def _misfits(formula: Formula, held: Range) -> Iterator[Misfit]:
    """Every number that may be too large or too small on the way, in the arithmetic of one dtype."""
    scores = formula.scores()
    some = scores.seen.any(axis=-1)
    if not some.any():
        return
    low, high = scores.s[scores.seen].min(), scores.s[scores.seen].max()
    sizes = f"The scores run from {low:.3g} to {high:.3g}"
    top = np.where(some, np.where(scores.seen, scores.s, -np.inf).max(axis=-1), 0.0)
    products = formula.products()
    largest = np.abs(products).max()
    limit = f"the largest {held.dtype} is {held.largest:.3g}"
    text = f"q·k reaches {largest:.3g} before the scale, and {limit}: scale q before q·k."
    beyond = np.abs(products) > held.largest
    # -inf, scaled, is a key without weight; inf is a row that is not a number.
    upwards = scores.seen & beyond & (products * formula.problem.scale > 0)
    yield Misfit(Cause((BEFORE_THE_SCALE,), text), beyond.any(axis=-1), upwards.any(axis=-1))

    text = f"{sizes}, and exp({high:.3g}) is inf in {held.dtype}: subtract the row's maximum before exp."
    # Many weights that are finite may have an infinite sum.
    sum_may_be_infinite = top + np.log(formula.problem.kv_len) > held.exp_is_infinite
    yield Misfit(Cause((UNSUBTRACTED,), text), some & sum_may_be_infinite, some & (top > held.exp_is_infinite))

    yield from _first_maxima(scores, top, held)
    for kinds, maximum, advice in _wrong_maxima(scores, top):
        gap = np.where(some, top - maximum, 0.0)
        text = f"{sizes}, and exp({gap.min():.3g}) is 0 in {held.dtype}: {advice}."
        yield Misfit(Cause(kinds, text), gap < held.exp_is_subnormal, gap < held.exp_is_zero)


def _first_maxima(scores: Scores, top: np.ndarray, held: Range) -> Iterator[Misfit]:
    """exp of scores far above the maximum of the first tile of keys."""
    for keys in (keys for keys in FIRST if keys < scores.s.shape[-1]):
        first = np.where(scores.seen, scores.s, -np.inf)[..., :keys].max(axis=-1)
        above = np.where(np.isfinite(first), top - first, 0.0)
        advice = "subtract the maximum of all keys so far, and rescale when it grows"
        text = (
            f"The scores rise {above.max():.3g} above those of the first {keys} keys, beyond exp in {held.dtype}: {advice}."
        )
        yield Misfit(Cause((FIRST_KEYS,), text), above > held.exp_is_infinite - 1, above > held.exp_is_infinite)


def _wrong_maxima(scores: Scores, top: np.ndarray) -> Iterator[tuple[tuple[str, ...], np.ndarray, str]]:
    """(kinds, what is subtracted, advice) for every maximum that may lie far above a row."""
    advice = "subtract the row's own maximum, which starts at -inf, before exp"
    yield (STARTS_ABOVE, UNSUBTRACTED), np.zeros(()), advice
    yield (WHOLE_MATRIX,), top.max(axis=-1, keepdims=True), "subtract the maximum of each row"
    yield (HIDDEN_KEYS,), scores.s.max(axis=-1), "take the row's maximum over the keys that it may attend to"
