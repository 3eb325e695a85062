"""A whole model as an operator: any implementation of attention, or transformers' own, inside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from harness.models.problem import Problem
from harness.operators.answer import Expected
from harness.operators.base import Arrays, Operator
from harness.operators.case import Case
from harness.operators.supports import Supports

FIRST_ID = 3
"""Ids below it have a meaning of their own in many vocabularies: padding, beginning, end."""


class ModelOperator(Operator):
    """Logits, or the last hidden states, of a model of transformers."""

    name = "model"
    problem = Problem
    supports = Supports
    parameters = ("past_ids",)
    keywords = ("mask",)
    axes = {"out": ("sequence", "position", "column")}  # noqa: RUF012

    def inputs(self, problem: Problem, seed: int = 0) -> Arrays:
        """Ids are drawn alike from the vocabulary, pixels are standard normal."""
        random = np.random.default_rng([seed, problem.length, problem.past])
        found: dict[str, np.ndarray] = {}
        for name, shape in problem.input_shapes.items():
            if name == "pixels":
                found[name] = random.standard_normal(shape).astype(_stored(problem.dtype))
            elif name == "mask":
                found[name] = _padding(random, shape, problem.padding == "left")
            else:
                found[name] = random.integers(FIRST_ID, problem.known.vocabulary, shape)
        return found

    def expected(self, problem: Problem, inputs: Arrays, seed: int = 0) -> Expected:
        from harness.models.oracle import expected

        return expected(problem, inputs)

    def cases(self) -> Iterable[Case]:
        return ()


def _padding(random: np.random.Generator, shape: tuple[int, ...], left: bool) -> np.ndarray:
    """Boolean, True where a sequence has a position: between half and all of them."""
    batch, positions = shape
    kept = random.integers(-(-positions // 2), positions + 1, batch)
    mask = np.arange(positions)[None, :] < kept[:, None]
    return mask[:, ::-1].copy() if left else mask


def _stored(dtype: str) -> Any:
    import ml_dtypes

    return ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)


MODEL = ModelOperator()
