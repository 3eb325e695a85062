"""Attention as an operator: what the engine asks of it, answered by the modules beside this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from harness.operators.answer import Expected
from harness.operators.attention.problem import AXES, Problem
from harness.operators.attention.supports import Supports
from harness.operators.base import Arrays, Operator, Solve
from harness.operators.case import Case
from harness.operators.diagnosis.cause import Cause


class Attention(Operator):
    """softmax(scale q kᵀ + bias, masked) v, and its gradients; docs/contract.md has every convention."""

    name = "attention"
    problem = Problem
    supports = Supports
    layouts: ClassVar[Mapping[str, Sequence[int] | None]] = {"BHSD": None, "BSHD": (0, 2, 1, 3)}
    keywords = ("mask", "bias")
    structured = ("bias",)
    axes: ClassVar[Mapping[str, Sequence[str]]] = AXES
    exactly = "{place} is not zero but {error:.3g}; nothing is attended to there"
    together: ClassVar[Mapping[str, Sequence[str]]] = {"heads": ("q_heads", "kv_heads"), "length": ("q_len", "kv_len")}
    lists = ("window",)

    def inputs(self, problem: Problem, seed: int = 0) -> Arrays:
        from harness.operators.attention.inputs import make_inputs

        return make_inputs(problem, seed).arrays

    def expected(self, problem: Problem, inputs: Arrays, seed: int = 0) -> Expected:
        from harness.operators.attention.inputs import Inputs
        from harness.operators.attention.reference import expected

        return expected(problem, Inputs(**inputs), seed)

    def spot_check(self, problem: Problem, inputs: Arrays, seed: int) -> Expected:
        from harness.operators.attention.inputs import Inputs
        from harness.operators.attention.reference import expected
        from harness.operators.attention.reference.rows import SPOT_CHECK_ELEMENTS

        return expected(problem, Inputs(**inputs), seed, SPOT_CHECK_ELEMENTS)

    def small(self, problem: Problem) -> Problem:
        return problem.replace(batch=1, q_len=min(problem.q_len, 16), kv_len=min(problem.kv_len, 16))

    def cases(self) -> Iterable[Case]:
        from harness.operators.attention.cases import CHAPTERS

        return (case for chapter in CHAPTERS for case in chapter.cases())

    def vary(self, problem: Problem, variation: str, seed: int) -> Arrays:
        from harness.operators.attention.variations import vary

        return vary(problem, variation, seed).arrays

    def lies_elsewhere(self, variation: str) -> bool:
        from harness.operators.attention.storage import PLACES

        return variation in PLACES

    def neighbours(self, problem: Problem) -> Iterator[tuple[str, Problem]]:
        """Of the same shape, longer, shorter."""
        for change in (0, 3, -5):
            other = problem.replace(q_len=problem.q_len + change, kv_len=problem.kv_len + 3 * change)
            yield f"{other.q_len} queries and {other.kv_len} keys", other

    def small_changes(self, problem: Problem, inputs: Arrays) -> Iterator[tuple[str, Arrays]]:
        """Two keys swapped, which no sum shows, and one element of each array."""
        if problem.kv_len > 3:
            k = inputs["k"].copy()
            k[:, :, [1, 2]] = k[:, :, [2, 1]]
            yield "keys 1 and 2, which are swapped", {**inputs, "k": k}
        yield from super().small_changes(problem, inputs)

    @property
    def properties(self) -> Sequence[str]:  # type: ignore[override]
        from harness.operators.attention.properties import NAMES

        return NAMES

    @property
    def gradient_properties(self) -> Sequence[str]:  # type: ignore[override]
        from harness.operators.attention.properties import BACKWARD

        return BACKWARD

    def applies(self, name: str, problem: Problem) -> bool:
        from harness.operators.attention.properties import applies

        return applies(name, problem)

    def holds(self, name: str, problem: Problem, inputs: Arrays, solve: Solve, seed: int) -> str | None:
        from harness.operators.attention.inputs import Inputs
        from harness.operators.attention.properties import holds

        def solved(posed: Problem, given: Inputs) -> Mapping[str, np.ndarray]:
            return solve(posed, given.arrays)

        return holds(name, problem, Inputs(**inputs), solved, seed)

    def likely_cause(self, problem: Problem, inputs: Arrays, outputs: Arrays, answer: Expected) -> Cause:
        from harness.operators.attention.diagnosis.output import likely_cause
        from harness.operators.attention.inputs import Inputs

        return likely_cause(problem, Inputs(**inputs), outputs, answer)

    def random_problems(self, supports: Supports, longest: int, backward: bool) -> Any:
        from harness.operators.attention.random_problems import problems

        return problems(supports, longest, backward)

    @property
    def conventions(self) -> Any:
        from harness.operators.attention import conventions

        return conventions


ATTENTION = Attention()
