"""What a wrong output tells of its cause: which mistake it equals, or else where it is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from harness.conformance.variants import MAX_ELEMENTS, pairs, variants
from harness.inputs import Inputs
from harness.problem import DTYPES, Problem
from harness.reference import Expected, Tensor

EQUALS = 0.02
"""An output equals a variant when it is closer to it than this fraction of its distance from the right answer."""


def likely_cause(problem: Problem, inputs: Inputs, outputs: Mapping[str, np.ndarray], answer: Expected) -> str:
    """A sentence or two on why the outputs are wrong, as far as they tell; empty when they do not."""
    if problem.direction == "backward":
        return _gradients(problem, outputs, answer)
    got = outputs["o"].astype(np.float64)
    tensor = answer["o"]
    said = _equal_variant(problem, inputs, got, tensor)
    if not said:
        said = _not_finite(problem, inputs, got) or _coarse(problem, got[:, :, tensor.rows], tensor)
    where = _where(got[:, :, tensor.rows], tensor, "query")
    return " ".join(part for part in (said, where) if part)


def _equal_variant(problem: Problem, inputs: Inputs, got: np.ndarray, tensor: Tensor) -> str:
    if problem.score_elements > MAX_ELEMENTS or len(tensor.rows) != tensor.length:
        return ""
    words = _nearest(variants(problem, inputs), got, tensor) or _nearest(pairs(problem, inputs), got, tensor)
    return f"It equals the formula {words}." if words else ""


def _nearest(candidates: Iterable[tuple[str, np.ndarray]], got: np.ndarray, tensor: Tensor) -> str:
    """The words of the candidate that the output equals, or ""."""
    best, words = EQUALS * _gap(got, tensor.value), ""
    for name, o in candidates:
        if _gap(o, tensor.value) == 0:
            continue
        gap = _gap(got, o)
        if gap < best:
            best, words = gap, name
    return words


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference; nan equals nan, and nothing else."""
    with np.errstate(invalid="ignore"):
        gap = np.where(np.isnan(a) & np.isnan(b), 0.0, np.abs(a - b))
    return float(np.nan_to_num(gap, nan=1e300, posinf=1e300).max(initial=0.0))


def _not_finite(problem: Problem, inputs: Inputs, got: np.ndarray) -> str:
    if np.isfinite(got).all():
        return ""
    scores = float(np.abs(inputs.q.astype(np.float64)).max(initial=0) * np.abs(inputs.k.astype(np.float64)).max(initial=0))
    if problem.may_have_empty_rows and scores < 80:
        return "Rows with nothing to attend to divide zero by zero; the contract says zero."
    return "exp or q·k overflows where scores are large: subtract the row's maximum before exp, and scale q before q·k."


def _coarse(problem: Problem, got: np.ndarray, tensor: Tensor) -> str:
    """Small errors nearly everywhere are the mark of coarser arithmetic."""
    error = np.abs(got - tensor.value)
    wrong = error > tensor.bound
    size = float(np.abs(tensor.value).max(initial=0.0))
    if not size or wrong.mean() < 0.3 or float(np.median(error)) > 0.02 * size:
        return ""
    relative = float(np.median(error)) / size
    finer = [name for name in DTYPES if name in ("float32", "bfloat16", "float16")]
    units = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
    nearest = min(finer, key=lambda name: abs(np.log2(relative / units[name])))
    if nearest == problem.dtype:
        return ""
    return f"Small errors everywhere, about {relative:.0e} of the output: like arithmetic in {nearest}."


def _where(got: np.ndarray, tensor: Tensor, row_name: str) -> str:
    """The part that is wrong, when it is only a part."""
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(got - tensor.value) <= tensor.bound)
    if wrong.all() or not wrong.any():
        return ""
    said = []
    for axis, name in enumerate(("batch element", "head", row_name, "column")):
        others = tuple(n for n in range(4) if n != axis)
        at = np.flatnonzero(wrong.any(axis=others))
        size = wrong.shape[axis]
        if len(at) < size:
            index = tensor.rows[at] if axis == 2 else at
            said.append(_indices(name, index, tensor.length if axis == 2 else size))
    return f"Wrong only in {', '.join(said)}." if said else ""


def _indices(name: str, at: np.ndarray, size: int) -> str:
    if len(at) == 1:
        return f"{name} {at[0]} of {size}"
    many = {"query": "queries"}.get(name, f"{name}s")
    steps = np.unique(np.diff(at))
    if len(steps) == 1:
        every = "" if steps[0] == 1 else f", every {_ordinal(int(steps[0]))}"
        return f"{many} {at[0]} to {at[-1]} of {size}{every}"
    listed = ", ".join(str(int(n)) for n in at[:6])
    return f"{len(at)} of {size} {many} ({listed}{', …' if len(at) > 6 else ''})"


def _ordinal(n: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(n, f"{n}th")


def _gradients(problem: Problem, outputs: Mapping[str, np.ndarray], answer: Expected) -> str:
    """Which gradients are right, and whether a wrong one is a multiple of what it should be."""
    said, right = [], []
    for name, tensor in answer.items():
        got = outputs[name].astype(np.float64)[:, :, tensor.rows]
        with np.errstate(invalid="ignore"):
            if (np.abs(got - tensor.value) <= tensor.bound).all():
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
