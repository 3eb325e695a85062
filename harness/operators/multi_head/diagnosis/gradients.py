"""Mistakes of the backward pass alone: what was computed is right, and its gradients are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from harness.operators.attention.diagnosis.variants import Formula
from harness.operators.base import Arrays
from harness.operators.diagnosis.mistake import Mistake
from harness.operators.multi_head.diagnosis.steps import Steps


def gradient_mistakes(right: Steps) -> Iterator[tuple[Mistake, Arrays]]:
    """(what is wrong, the gradients)."""
    whole = right.gradients()
    for words, gradients in (*_of_attention(right), *_of_inputs(right), *_of_parameters(right, whole)):
        yield Mistake.of(words), {**whole, **gradients}


def _of_attention(right: Steps) -> Iterator[tuple[str, Arrays]]:
    """Attention's own gradients wrong, and what follows from them."""
    problem, d = right.problem, right.formula.gradients()
    unscaled = {"dq": d["dq"] / problem.scale, "dk": d["dk"] / problem.scale}
    yield "without the scale in the gradients of queries and keys", right.gradients({**d, **unscaled})
    if d["dk"].shape == d["dv"].shape:
        swapped = {"dk": d["dv"], "dv": d["dk"]}
        yield "with the gradients of keys and values taken for each other", right.gradients({**d, **swapped})
    group = problem.attention.group
    if group > 1:
        by_query_head = _without_groups(right.formula, group).gradients()
        first = {name: by_query_head[name][:, ::group] for name in ("dk", "dv")}
        words = "with the gradient of the first query head of a group, not their sum, for a key/value head"
        yield words, right.gradients({**d, **first})


def _without_groups(formula: Formula, group: int) -> Formula:
    """With a key/value head of its own for every query head."""
    inputs = formula.inputs
    k, v = (np.repeat(x, group, axis=1) for x in (inputs.k, inputs.v))
    problem = formula.problem.replace(kv_heads=formula.problem.q_heads)
    return dataclasses.replace(formula, problem=problem, inputs=dataclasses.replace(inputs, k=k, v=v), qk=None)


def _of_inputs(right: Steps) -> Iterator[tuple[str, Arrays]]:
    """A path to x or y left out."""
    for paths, through in (("q", "keys and values"), ("kv", "queries"), ("qv", "keys"), ("qk", "values")):
        found = right.gradients(paths=paths)
        kept = {name: a for name, a in found.items() if name in ("dx", "dy")}
        yield f"with gradients of x and y that leave out the path through {through}", kept


def _of_parameters(right: Steps, whole: Arrays) -> Iterator[tuple[str, Arrays]]:
    """Right gradients, those of weights and biases not finished."""
    problem = right.problem
    batch, rows = max(problem.batch, 1), max(problem.batch * problem.q_len, 1)
    parameters = {name: a for name, a in whole.items() if name[1] in "wb"}
    weights, biases = ({name: a for name, a in parameters.items() if name[1] == kind} for kind in "wb")
    for some, named in ((parameters, "weights and biases"), (weights, "weights"), (biases, "biases")):
        if some:
            yield f"with gradients of {named} divided by the batch", {name: a / batch for name, a in some.items()}
            words = f"with gradients of {named} divided by batch and length"
            yield words, {name: a / rows for name, a in some.items()}
    if biases:
        means = {name: np.full_like(a, a.mean()) for name, a in biases.items()}
        yield "with the gradient of a bias averaged over its columns", means
    if problem.batch > 1:
        for words, element in (("first", 0), ("last", problem.batch - 1)):
            alone = _of_element(right, element).gradients()
            text = f"of the {words} batch element alone"
            yield f"with gradients of weights and biases {text}", {name: alone[name] for name in parameters}
            yield f"with gradients of weights {text}", {name: alone[name] for name in weights}
    for name, gradient in parameters.items():
        yield f"with {name} left at zero", {name: np.zeros_like(gradient)}
        yield f"with the sign of {name} lost", {name: -gradient}


def _of_element(right: Steps, element: int) -> Steps:
    """The layer given one batch element."""
    given = dict(right.given)
    for name in ("x", "y", "dout"):
        if name in given:
            given[name] = given[name][element : element + 1]
    mask = given.get("mask")
    if mask is not None and mask.ndim == 4 and len(mask) > 1:
        given["mask"] = mask[element : element + 1]
    return dataclasses.replace(right, problem=right.problem.replace(batch=1), given=given)
