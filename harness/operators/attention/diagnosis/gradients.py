"""What wrong gradients tell of their cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from harness.operators.answer import Tensor
from harness.operators.attention.diagnosis.equal import equal_gradients
from harness.operators.attention.diagnosis.overflow import misfit
from harness.operators.attention.diagnosis.rounding import coarse, may_be_coarse
from harness.operators.attention.problem import AXES, Problem
from harness.operators.diagnosis.cause import OUTSIDE, Cause
from harness.operators.diagnosis.equality import EQUALS, formula_kinds, named
from harness.operators.diagnosis.failure import Failure
from harness.operators.diagnosis.places import where
from harness.operators.diagnosis.wording import are, listed


def wrong_gradients(failure: Failure) -> Cause:
    """The cause of wrong gradients: a forward pass that they belong to, or else which of them are right."""
    equal = equal_gradients(failure)
    right = [name for name, wrong in failure.wrong.items() if not wrong.any()]
    parts = {name: _gradient(failure, name) for name in failure.answer if name not in right}
    kept = f"{listed(right)} {are(right)} right." if right else ""
    text = " ".join(filter(None, [kept, *(part.text for part in parts.values())]))
    said = named(equal, "They equal the gradients of") or misfit(failure, "dq") or coarse(failure)
    if said is not None:
        return replace(said, text=f"{said.text} {text}".strip(), may_be=may_be_coarse(failure))
    may_be = (*formula_kinds(equal), *may_be_coarse(failure), *(() if right else (OUTSIDE,)))
    return Cause(_gradient_kinds(parts), text, may_be)


def _gradient_kinds(parts: Mapping[str, Cause]) -> tuple[str, ...]:
    """What is wrong with all of them together, then with each."""
    states: dict[str, list[str]] = {}
    for name, part in parts.items():
        states.setdefault(part.kinds[0], []).append(name)
    together = ", ".join(f"{listed(names)} {are(names)} {state}" for state, names in states.items())
    each = (f"{name} is {state}" for name, part in parts.items() for state in part.kinds)
    return tuple(dict.fromkeys([together, *each]))


def _gradient(failure: Failure, name: str) -> Cause:
    """What is told of one wrong gradient; its kinds say what it is."""
    got, tensor = failure.got[name], failure.answer[name]
    if not got.any():
        return Cause(("zero", "wrong"), f"{name} is zero everywhere.")
    factor = _multiple(failure.problem, got, tensor)
    if factor:
        return Cause(("a multiple of what it should be", "wrong"), f"{name} is {factor}.")
    place = where(failure.wrong[name], tensor, AXES[name])
    return Cause(("wrong",), place.text if place else "")


def _multiple(problem: Problem, got: np.ndarray, tensor: Tensor) -> str:
    """ "0.25 times what it should be (the scale)", or ""."""
    size = float((tensor.value**2).sum())
    if not np.isfinite(got).all() or not size:
        return ""
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
    return f"{factor:.4g} times what it should be{f' ({words[0]})' if words else ''}"
