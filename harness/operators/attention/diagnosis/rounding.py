"""Errors that look like arithmetic in a coarser dtype."""

from __future__ import annotations

import numpy as np

from harness.operators.diagnosis.cause import Cause
from harness.operators.diagnosis.failure import Failure

SMALL = 0.02
"""An error below this fraction of the largest output may come from rounding to a half type, a larger one hardly."""

COARSER = {
    "float64": {"float32": 2.0**-24, "float16, bfloat16 or TF32": 2.0**-11},
    "float32": {"float16, bfloat16 or TF32": 2.0**-11},
    "float16": {"bfloat16": 2.0**-8},
    "bfloat16": {},
}
"""By the dtype of a problem, what coarser arithmetic its errors may come from, with the unit roundoff."""

COARSE = "small errors everywhere, like arithmetic in {}"

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def coarse(failure: Failure) -> Cause | None:
    """Small errors nearly everywhere, and nowhere a large one, are the mark of coarser arithmetic."""
    found = {name: _coarseness(failure, name) for name, wrong in failure.wrong.items() if wrong.any()}
    dtypes = {dtype for dtype, _ in found.values()}
    if len(dtypes) != 1 or "" in dtypes:
        return None
    (dtype,) = dtypes
    relative = max(size for _, size in found.values())
    text = f"Small errors everywhere, about {relative:.0e} of the output: like arithmetic in {dtype}."
    return Cause((COARSE.format(dtype),), text)


def _coarseness(failure: Failure, name: str) -> tuple[str, float]:
    """(the coarser dtype, the relative error) of one output; "" where its errors are not those of rounding."""
    value = failure.answer[name].value
    error = np.abs(failure.got[name] - value)
    size = float(np.abs(value).max(initial=0.0))
    # Not a number is not small either.
    if not size or failure.wrong[name].mean() < 0.3 or not error.max() <= SMALL * size:
        return "", 0.0
    relative = float(np.median(error)) / size
    units = {**COARSER[failure.problem.dtype], "": UNIT[failure.problem.dtype]}
    return (min(units, key=lambda dtype: abs(np.log2(relative / units[dtype]))), relative) if relative else ("", 0.0)


def may_be_coarse(failure: Failure) -> tuple[str, ...]:
    """The coarser arithmetic that errors of this size may come from."""
    own = UNIT[failure.problem.dtype]
    found = []
    for dtype, unit in COARSER[failure.problem.dtype].items():
        with_it = (unit / own * tensor.bound for tensor in failure.answer.values())
        errors = (np.abs(failure.got[name] - tensor.value) for name, tensor in failure.answer.items())
        if all((error <= bound).all() for error, bound in zip(errors, with_it, strict=True)):
            found.append(COARSE.format(dtype))
    return tuple(found)
