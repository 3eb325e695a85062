"""What the harness must know of an operator, and nothing else.

An operator is a computation with one right answer: what a problem of it is, which arrays it is given, what must come out and
how far off that may be, by which cases it is examined. The engine, the conformance suite, the records and the reports are
written once, against this; implementations name the operator that they implement.

An author of an operator writes `inputs`, `expected` and `cases`; everything else has a default.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from harness.operators.answer import Expected
from harness.operators.case import Case
from harness.operators.checks import EXACTLY
from harness.operators.diagnosis.cause import Cause
from harness.operators.diagnosis.failure import Failure
from harness.operators.diagnosis.general import likely_cause
from harness.operators.diagnosis.mistake import Mistake
from harness.operators.problem import Problem
from harness.operators.supports import Supports

Arrays = Mapping[str, np.ndarray]
"""Arrays by name: what a problem's implementations are given, or what they return."""

Solve = Callable[[Any, Arrays], Arrays]
"""An implementation: the outputs for a problem and its inputs."""


class Operator(ABC):
    """One operator. Subclass it, and make one instance at module level."""

    name: ClassVar[str]
    """What plans and files of problems call it."""
    problem: ClassVar[type[Problem]]
    """The class of its problems."""
    supports: ClassVar[type[Supports]] = Supports
    """The class of its implementations' declarations."""
    layouts: ClassVar[Mapping[str, Sequence[int] | None]] = {"canonical": None}
    """Orders of the axes that an implementation may declare, the canonical one first: where each of the canonical axes is
    found in it. Arrays given by position, outputs and gradients are stored so."""
    keywords: ClassVar[Sequence[str]] = ()
    """Inputs that not every problem has, given to an implementation by name, in their own order of the axes."""
    parameters: ClassVar[Sequence[str]] = ()
    """Inputs that belong to a layer, not to its call. Where there are any, a factory returns `load(**parameters)`, which
    gives the callable: loading is no part of a call's time."""
    structured: ClassVar[Sequence[str]] = ()
    """Inputs of numbers that have their values for a reason, such as a bias of -inf here and there; calls that are timed are
    given other values in all the others."""
    gradient: ClassVar[str] = "do"
    """The input that is the gradient of the output, in problems whose direction is backward."""
    axes: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Words for the axes of an output, such as ("batch element", "head", "query", "column"), for findings."""
    exactly: ClassVar[str] = EXACTLY
    """The finding where an element whose bound is zero is off."""
    together: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Keys of a file of problems that stand for several fields, such as {"length": ("q_len", "kv_len")}."""
    lists: ClassVar[Sequence[str]] = ()
    """Fields whose value is itself a list, so that only a list of lists stands for several problems."""

    # --- the arrays and the answer -------------------------------------------------------------------

    @abstractmethod
    def inputs(self, problem: Any, seed: int = 0) -> Arrays:
        """The arrays of a problem, from a seed: the same bits in every process, names and shapes as `input_shapes` has."""

    @abstractmethod
    def expected(self, problem: Any, inputs: Arrays, seed: int = 0) -> Expected:
        """The right outputs in float64, and how far off each element may be. `seed` chooses the rows where not all fit."""

    def spot_check(self, problem: Any, inputs: Arrays, seed: int) -> Expected:
        """The same at fewer rows, which `seed` chooses: for calls with other values, once all rows have been checked."""
        return self.expected(problem, inputs, seed)

    def small(self, problem: Any) -> Problem:
        """A miniature of a problem: what loads what a framework loads late."""
        return problem

    # --- conformance ---------------------------------------------------------------------------------

    @abstractmethod
    def cases(self) -> Iterable[Case]:
        """Every conformance case, chapter by chapter; ids are unique."""

    def vary(self, problem: Any, variation: str, seed: int) -> Arrays:
        """The arrays of a case. Every call makes them anew."""
        if variation != "normal":
            raise ValueError(f"{self.name} has no inputs called {variation}")
        return self.inputs(problem, seed)

    def lies_elsewhere(self, variation: str) -> bool:
        """Whether a variation is about where arrays lie in memory, so that an adapter that copies makes it void."""
        return False

    def neighbours(self, problem: Any) -> Iterator[tuple[str, Problem]]:
        """(what is different, another problem) for calls in between: of other sizes, where the operator has some."""
        yield "other values", problem

    def small_changes(self, problem: Any, inputs: Arrays) -> Iterator[tuple[str, Arrays]]:
        """(what is different, arrays that hardly differ): one element in the middle of each."""
        for name, array in inputs.items():
            if array.size:
                changed = array.copy()
                middle = tuple(size // 2 for size in changed.shape)
                changed[middle] = not changed[middle] if changed.dtype == bool else -2 * changed[middle] + 1
                yield f"one element of {name}", {**inputs, name: changed}

    properties: ClassVar[Sequence[str]] = ()
    """Names of properties that need no oracle; a case's `check` may be one."""
    gradient_properties: ClassVar[Sequence[str]] = ()
    """Those of them that are about gradients."""

    def applies(self, name: str, problem: Any) -> bool:
        """Whether a property can be asked of a problem at all."""
        return True

    def holds(self, name: str, problem: Any, inputs: Arrays, solve: Solve, seed: int) -> str | None:
        """A sentence on how a property fails, or None."""
        raise ValueError(f"{self.name} has no property {name}")

    def mistakes(self, problem: Any, inputs: Arrays) -> Iterator[tuple[Mistake, Arrays]]:
        """(a well-known mistake, the outputs that it gives in float64), for the diagnosis; no verdict depends on one."""
        return iter(())

    def likely_cause(self, problem: Any, inputs: Arrays, outputs: Arrays, answer: Expected) -> Cause:
        """Why outputs are wrong, as far as they tell: which mistake they equal, or else where they are wrong."""
        failure = Failure.of(problem, inputs, outputs, answer)
        return likely_cause(failure, self.mistakes(problem, inputs), self.axes)

    def random_problems(self, supports: Any, longest: int, backward: bool) -> Any:
        """A Hypothesis strategy of problems that a declaration supports; None where none is written."""
        return None

    @property
    def conventions(self) -> Any:
        """What `harness conventions` asks, as `harness.operators.attention.conventions` does; None for nothing."""
        return None
