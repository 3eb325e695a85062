"""What a wrong output tells of its cause: which mistake it equals, or else where it is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import ml_dtypes
import numpy as np

from harness.conformance.properties import admitted_keys
from harness.conformance.variants import MAX_ELEMENTS, pairs, variants
from harness.inputs import Inputs
from harness.problem import Problem
from harness.reference import Expected, Tensor

EQUALS = 0.02
"""An output equals a variant when it is closer to it than this fraction of its distance from the right answer."""

SAME = 1e-9
"""Two variants are the same in a problem when they differ by less than this fraction of what they differ from the answer."""

MAX_NAMED = 3
"""Variants that are the same, beyond which none of them is named."""

SMALL = 0.02
"""An error below this fraction of the largest output may come from rounding to a half type, a larger one hardly."""

COARSER = {
    "float64": {"float32": 2.0**-24, "float16, bfloat16 or TF32": 2.0**-11},
    "float32": {"float16, bfloat16 or TF32": 2.0**-11},
    "float16": {"bfloat16": 2.0**-8},
    "bfloat16": {},
}
"""By the dtype of a problem, what coarser arithmetic its errors may come from, with the unit roundoff."""

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}

EXP_OVERFLOWS = {"float64": 709.0, "float32": 88.0, "float16": 11.0, "bfloat16": 88.0}
"""Scores beyond which exp is infinite in a dtype."""

ZERO = "It is zero where it is wrong."


def likely_cause(problem: Problem, inputs: Inputs, outputs: Mapping[str, np.ndarray], answer: Expected) -> str:
    """A sentence or two on why the outputs are wrong, as far as they tell; empty when they do not."""
    if problem.direction == "backward":
        return _gradients(problem, outputs, answer)
    got = outputs["o"].astype(np.float64)
    tensor = answer["o"]
    checked = got[:, :, tensor.rows]
    said = (
        _zero(checked, tensor)
        or _equal_variant(problem, inputs, got, tensor)
        or _not_finite(problem, inputs, got)
        or _coarse(problem, checked, tensor)
    )
    where = _where(checked, tensor, "query", _right_anyhow(problem, inputs, tensor))
    if said == ZERO and where:
        return f"{said.rstrip('.')}, {where.removeprefix('Wrong ')}"
    return " ".join(part for part in (said, where) if part)


def _zero(got: np.ndarray, tensor: Tensor) -> str:
    """Zeros equal many variants by accident, so they are told first."""
    if not got.any():
        return "It is zero everywhere."
    wrong = _wrong(got, tensor)
    return ZERO if wrong.any() and not got[wrong].any() else ""


def _wrong(got: np.ndarray, tensor: Tensor) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return ~(np.abs(got - tensor.value) <= tensor.bound)


def _equal_variant(problem: Problem, inputs: Inputs, got: np.ndarray, tensor: Tensor) -> str:
    if problem.score_elements > MAX_ELEMENTS or len(tensor.rows) != tensor.length:
        return ""
    words = _nearest(variants(problem, inputs), got, tensor) or _nearest(pairs(problem, inputs), got, tensor)
    return f"It equals the formula {', or '.join(words)}." if 0 < len(words) <= MAX_NAMED else ""


def _nearest(candidates: Iterable[tuple[str, np.ndarray]], got: np.ndarray, tensor: Tensor) -> list[str]:
    """The words of the candidates that the output equals: of the nearest one, and of those that are the same here."""
    finite = np.isfinite(got)
    error = np.abs(got - tensor.value)[finite].max(initial=0.0)
    # Where all that is finite is right, the candidate must be right there too.
    bound = 0.0 if finite.all() else tensor.bound[finite & np.isfinite(tensor.bound)].max(initial=0.0)
    allowed = max(EQUALS * error, bound)
    near = []
    for name, o in candidates:
        if _gap(o, tensor.value) > 0 and (gap := _gap(got, o)) < allowed:
            near.append((gap, name, o))
    if not near:
        return []
    nearest = min(near, key=lambda one: one[0])[2]
    same = SAME * np.abs(nearest - tensor.value)[finite].max(initial=0.0)
    return [name for _, name, o in near if _gap(o, nearest) <= same]


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of what is finite; infinite unless the same elements are."""
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return np.inf
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0))


def _not_finite(problem: Problem, inputs: Inputs, got: np.ndarray) -> str:
    """Why rows are not finite: their scores overflow, or there are none."""
    rows = ~np.isfinite(got).all(axis=-1)
    if not rows.any() or problem.score_elements > MAX_ELEMENTS:
        return ""
    keys = admitted_keys(problem, inputs)
    if not keys[rows].any():
        return "Rows with nothing to attend to are not a number; the contract says zero."
    k = np.repeat(inputs.k.astype(np.float64), problem.group, axis=1)
    products = np.abs(inputs.q.astype(np.float64) @ k.swapaxes(-1, -2))[rows].max(initial=0.0)
    largest = float(ml_dtypes.finfo(inputs.q.dtype).max)
    if products < largest and abs(problem.scale) * products < EXP_OVERFLOWS[problem.dtype]:
        return ""
    return "Scores as large as these overflow in exp or q·k: subtract the row's maximum before exp, and scale q before q·k."


def _coarse(problem: Problem, got: np.ndarray, tensor: Tensor) -> str:
    """Small errors nearly everywhere, and nowhere a large one, are the mark of coarser arithmetic."""
    error = np.abs(got - tensor.value)
    size = float(np.abs(tensor.value).max(initial=0.0))
    # Not a number is not small either.
    if not size or _wrong(got, tensor).mean() < 0.3 or not error.max() <= SMALL * size:
        return ""
    relative = float(np.median(error)) / size
    if not relative:
        return ""
    units = {**COARSER[problem.dtype], "": UNIT[problem.dtype]}
    nearest = min(units, key=lambda name: abs(np.log2(relative / units[name])))
    return f"Small errors everywhere, about {relative:.0e} of the output: like arithmetic in {nearest}." if nearest else ""


def _right_anyhow(problem: Problem, inputs: Inputs, tensor: Tensor) -> np.ndarray:
    """Boolean, as the checked rows: those right by themselves, with one key or none to attend to."""
    if problem.score_elements > MAX_ELEMENTS:
        return (tensor.bound == 0).all(axis=-1)
    return admitted_keys(problem, inputs)[:, :, tensor.rows].sum(axis=-1) < 2


def _where(got: np.ndarray, tensor: Tensor, row_name: str, trivial: np.ndarray | None = None) -> str:
    """The part that is wrong, when it is only a part of what `trivial` (boolean, a row each) leaves."""
    wrong = _wrong(got, tensor)
    if wrong.all() or not wrong.any():
        return ""
    could_be = np.ones_like(wrong) if trivial is None else np.broadcast_to(~trivial[..., None], wrong.shape)
    said = []
    for axis, name in enumerate(("batch element", "head", row_name, "column")):
        others = tuple(n for n in range(4) if n != axis)
        found = wrong.any(axis=others)
        at = np.flatnonzero(found)
        size = wrong.shape[axis]
        if (could_be.any(axis=others) & ~found).any():
            index = tensor.rows[at] if axis == 2 else at
            said.append(_indices(name, index, tensor.length if axis == 2 else size))
    said = [part for part in said if part]
    return f"Wrong only in {', '.join(said)}." if said else ""


def _indices(name: str, at: np.ndarray, size: int) -> str:
    """Such as "queries 5 to 8 of 9"; empty for most of them in no order, which says nothing."""
    if len(at) == 1:
        return f"{name} {at[0]} of {size}"
    many = {"query": "queries"}.get(name, f"{name}s")
    if len(at) == 2:
        return f"{many} {at[0]} and {at[1]} of {size}"
    steps = np.unique(np.diff(at))
    if len(steps) == 1:
        every = "" if steps[0] == 1 else f", every {_ordinal(int(steps[0]))}"
        return f"{many} {at[0]} to {at[-1]} of {size}{every}"
    if len(at) > size / 2:
        return ""
    listed = ", ".join(str(int(n)) for n in at[:6])
    return f"{len(at)} of {size} {many} ({listed}{', …' if len(at) > 6 else ''})"


def _ordinal(n: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(n, f"{n}th")


def _gradients(problem: Problem, outputs: Mapping[str, np.ndarray], answer: Expected) -> str:
    """Which gradients are right, and whether a wrong one is a multiple of what it should be."""
    said, right = [], []
    for name, tensor in answer.items():
        got = outputs[name].astype(np.float64)[:, :, tensor.rows]
        if not _wrong(got, tensor).any():
            right.append(name)
            continue
        said.append(_multiple(problem, name, got, tensor) or _where(got, tensor, "query" if name == "dq" else "key"))
    kept = f"{' and '.join(right)} {'is' if len(right) == 1 else 'are'} right." if right else ""
    return " ".join(part for part in (kept, *said) if part)


def _multiple(problem: Problem, name: str, got: np.ndarray, tensor: Tensor) -> str:
    size = float((tensor.value**2).sum())
    if not np.isfinite(got).all() or not size:
        return ""
    if not got.any():
        return f"{name} is zero everywhere."
    factor = float((got * tensor.value).sum()) / size
    if np.abs(got - factor * tensor.value).max() > EQUALS * np.abs(got - tensor.value).max():
        return ""
    known = {
        "the scale": problem.scale,
        "one over the scale": 1 / problem.scale if problem.scale else 0.0,
        "minus one": -1.0,
        "one over the heads of a group": 1 / problem.group,
        "the heads of a group": float(problem.group),
    }
    words = [what for what, value in known.items() if value != 1 and abs(factor - value) < 1e-3 * abs(value)]
    return f"{name} is {factor:.4g} times what it should be{f' ({words[0]})' if words else ''}."
