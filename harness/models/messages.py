"""What workers with a model are asked, and what they answer: those with an implementation inside, and the oracle's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.models.problem import Problem
from harness.workers.messages import Request


@dataclass(frozen=True)
class OfProblem(Request):
    """Of a problem, with its inputs."""

    problem: Problem
    inputs: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Generated:
    tokens: np.ndarray
    """(batch, tokens)"""


@dataclass(frozen=True)
class Generate(OfProblem):
    """Generate what the problem asks for after its sequences, greedily. Answered by `Generated` or `Failed`."""

    STEP: ClassVar[str] = "generating"
    REPLY: ClassVar[type] = Generated


@dataclass(frozen=True)
class Answered:
    answers: list[Any]


@dataclass(frozen=True)
class Ask(Request):
    """What real weights are for. Answered by `Answered` or `Failed`."""

    STEP: ClassVar[str] = "answering"
    REPLY: ClassVar[type] = Answered

    problem: Problem


@dataclass(frozen=True)
class Computed:
    value: np.ndarray
    """float64"""
    unit: np.ndarray
    """What rounding explains of each output."""


@dataclass(frozen=True)
class Compute(OfProblem):
    """Run the model in float64, and in the problem's dtype. Answered by `Computed` or `Failed`."""

    STEP: ClassVar[str] = "the oracle"
    REPLY: ClassVar[type] = Computed


@dataclass(frozen=True)
class Preferred:
    gaps: np.ndarray
    """(batch): differences of logits, in float64."""
    unit: float
    """Root of the mean square of what those in the problem's dtype are off by."""


@dataclass(frozen=True)
class Prefer(OfProblem):
    """By how much it prefers the last of its `tokens` (batch, any) to the `others` (batch). Answered by `Preferred`."""

    STEP: ClassVar[str] = "the oracle"
    REPLY: ClassVar[type] = Preferred

    tokens: np.ndarray
    others: np.ndarray
