"""The well-known mistakes of a layer, with the outputs that they give."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from harness.operators.attention.diagnosis.variants import replaced_steps
from harness.operators.attention.inputs import Inputs
from harness.operators.base import Arrays
from harness.operators.diagnosis.mistake import Mistake
from harness.operators.multi_head.diagnosis.gradients import gradient_mistakes
from harness.operators.multi_head.diagnosis.steps import Steps
from harness.operators.multi_head.problem import Problem

NAMES = {"q": "queries", "k": "keys", "v": "values", "o": "output"}


def mistakes(problem: Problem, inputs: Arrays) -> Iterator[tuple[Mistake, Arrays]]:
    """(what is wrong, the outputs) for every mistake that can be made in this problem."""
    right = Steps(problem, inputs)
    forward = problem.direction == "forward"
    for words, changes in _steps(problem, inputs):
        if forward:
            yield Mistake.of(words), {"out": right.changed(**changes).output()}
        elif not changes.keys() & NOT_DIFFERENTIATED:
            yield Mistake.of(words), right.changed(**changes).gradients()
    for mistake, inner in _of_attention(problem, inputs):
        step = right.changed(attend=lambda formula, inner=inner: formula.changed(inner))
        if forward:
            yield mistake, {"out": step.output()}
        elif not inner.keys() & {"axis", "normalised", "empty"}:
            yield mistake, step.gradients()
    if not forward:
        yield from gradient_mistakes(right)
    elif problem.attention.score_elements <= MAX_ELEMENTS_FOR_SEVERAL:
        yield from _several(right)


MAX_ELEMENTS_FOR_SEVERAL = 2**12
"""Score elements beyond which several mistakes at once are not tried."""

NOT_DIFFERENTIATED = {"split", "merge", "across", "unprojected", "crossed", "weights", "transposed", "output_heads", "empty"}
"""Steps whose mistakes have no gradients here."""


def _of_attention(problem: Problem, inputs: Arrays) -> Iterator[tuple[Mistake, Mapping[str, Any]]]:
    """Those of the attention inside."""
    nothing = np.empty(0)
    yield Mistake.of("with the scale 1/sqrt(width), of the layer and not of a head"), {"scale": 1 / math.sqrt(problem.width)}
    yield from replaced_steps(problem.attention, Inputs(nothing, nothing, nothing, inputs.get("mask")))


def _several(right: Steps) -> Iterator[tuple[Mistake, Arrays]]:
    """Two or three of the mistakes that layers make together: projections, heads, scale."""
    problem = right.problem
    projections = [(words, changes) for words, changes in _projections(problem) if changes.get("unprojected") == "qkv"]
    heads = [(words, changes) for words, changes in _heads(problem) if changes.keys() & {"across", "split", "merge"}]
    scales = [
        ("without the scale", 1.0),
        ("with scores multiplied by sqrt(head_dim), not divided", math.sqrt(problem.head_dim)),
    ]
    for projection, head, scale in itertools.product([None, *projections], [None, *heads], [None, *scales]):
        made = [one for one in (projection, head, scale) if one is not None]
        if len(made) < 2:
            continue
        steps = right.changed(**(projection[1] if projection else {}), **(head[1] if head else {}))
        if scale is not None:
            steps = steps.changed(attend=lambda formula, scale=scale[1]: formula.changed({"scale": scale}))
        yield functools.reduce(Mistake.and_also, (Mistake.of(words) for words, _ in made)), {"out": steps.output()}


def _steps(problem: Problem, inputs: Arrays) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from _projections(problem)
    yield from _heads(problem)
    if problem.cross and problem.y_width == problem.width and problem.q_len == problem.kv_len:
        yield "with keys and values from x, not from y", {"crossed": "x"}
        yield "with x and y taken for each other", {"crossed": "swapped"}
        yield "with keys from x and values from y", {"crossed": "keys"}
    if problem.cross and problem.q_len != problem.kv_len:
        yield "with as many positions of y as x has, over and over", {"crossed": "resized"}
    if problem.cache:
        yield "with the cache after the new positions, not before", {"cache": "after"}
        if not problem.mask and not problem.attention.banded:
            yield "without the cache", {"cache": "ignored"}
            yield "without the new positions among the keys", {"cache": "alone"}
        yield "with the last of the cache in place of the new positions", {"cache": "repeated"}
    if problem.width == problem.out_width:
        yield "with x added, as the residual connection around the layer does", {"residual": True}
    if problem.biases and problem.attention.may_have_empty_rows:
        yield "with zeros, not b^O, at positions that have nothing to attend to", {"empty": "zero"}
    mask = inputs.get("mask")
    if mask is not None and mask.ndim == 4 and mask.shape[0] > 1 and mask.shape[1] == 1:
        yield "with the batch of the mask taken for its heads", {"masked": "heads"}
        yield "with masks repeated in the order heads · batch, not batch · heads", {"masked": "repeated"}


def _projections(problem: Problem) -> Iterator[tuple[str, dict[str, Any]]]:
    widths = {
        "q": (problem.width, problem.q_heads * problem.head_dim),
        "k": (problem.y_width, problem.kv_heads * problem.head_dim),
        "v": (problem.y_width, problem.kv_heads * problem.v_head_dim),
        "o": (problem.q_heads * problem.v_head_dim, problem.out_width),
    }
    free = "".join(letter for letter, (fan_in, fan_out) in widths.items() if fan_in == fan_out)
    if all(letter in free for letter in "qkv"):
        yield "without the projections of queries, keys and values", {"unprojected": "qkv", "unbiased": "qkv"}
    for letter in free:
        yield f"without the projection of the {NAMES[letter]}", {"unprojected": letter, "unbiased": letter}
        yield f"with W^{letter.upper()} transposed", {"transposed": letter}
    shapes = problem.weight_shapes
    for one, other in itertools.combinations("qkv", 2):
        if shapes[f"w{one}"] == shapes[f"w{other}"]:
            both = f"W^{one.upper()} and W^{other.upper()}"
            swap = {f"w{one}": f"w{other}", f"w{other}": f"w{one}"}
            yield f"with {both} taken for each other", {"weights": swap}
            biased = {**swap, f"b{one}": f"b{other}", f"b{other}": f"b{one}"}
            if problem.biases:
                yield f"with {both}, and their biases, taken for each other", {"weights": biased}
            for used, instead in ((one, other), (other, one)):
                yield f"with W^{used.upper()} for W^{instead.upper()} too", {"weights": {f"w{instead}": f"w{used}"}}
    if shapes["wq"] == shapes["wk"] == shapes["wv"]:
        for order in ("kvq", "vqk"):
            packed = {f"{part}{a}": f"{part}{b}" for part in "wb" for a, b in zip("qkv", order, strict=True)}
            yield f"with packed projections in the order {', '.join(order)}, not q, k, v", {"weights": packed}
    if problem.biases:
        yield "without any bias", {"unbiased": "qkvo"}
        for letter in "qkvo":
            yield f"without the bias of the {NAMES[letter]}", {"unbiased": letter}
        yield "with b^O added once for each head", {"output_biases": float(problem.q_heads)}
        yield "with b^O added twice", {"output_biases": 2.0}


def _heads(problem: Problem) -> Iterator[tuple[str, dict[str, Any]]]:
    mixed = "split into heads without moving the axis of the heads before that of the positions"
    yield f"with projections {mixed}", {"split": "untransposed"}
    yield (
        "with columns of heads interleaved (d · heads + h), not contiguous",
        {"split": "interleaved", "merge": "interleaved"},
    )
    yield "with heads split by interleaved columns (d · heads + h)", {"split": "interleaved"}
    yield "with heads merged by interleaved columns (d · heads + h)", {"merge": "interleaved"}
    yield "with heads merged without moving their axis behind that of the positions", {"merge": "untransposed"}
    both = {"split": "untransposed", "merge": "untransposed"}
    yield f"with projections {mixed}, and merged likewise", both
    yield "with the mean of the heads for each of them", {"merge": "mean"}
    if problem.q_heads > 1:
        yield "with the first head's rows of W^O for every head", {"output_heads": "first"}
    if max(problem.head_dim, problem.v_head_dim) > problem.width // problem.q_heads:
        yield "without the columns of a head beyond width // heads", {"split": "floor"}
    yield "with half of the columns of a projection read as if they were all", {"split": "narrow"}
    plain = problem.q_heads == problem.kv_heads and not problem.attention.banded and not problem.mask
    if plain and not problem.cache:
        if problem.q_len == problem.kv_len:
            yield "attending to the heads of one position, not to the positions of one head", {"across": "heads"}
        if problem.batch > 1 and problem.q_len == problem.kv_len:
            yield "attending to the positions of every batch element", {"split": "batch", "merge": "batch"}
