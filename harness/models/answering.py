"""What comes out of models with an implementation inside: the text that they generate, and what real weights answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.errors import Status
from harness.measure.plan import Plan
from harness.measure.pool import Launcher
from harness.models import oracle
from harness.models.problem import Problem
from harness.operators.base import Arrays
from harness.plugins.contender import Contender
from harness.plugins.session import ImplementationSession, environment, opening
from harness.records.cell import Cell
from harness.records.generation import Generation
from harness.records.real_answers import RealAnswers
from harness.workers.messages import Failed, Request
from harness.workers.process import Worker


@dataclass(frozen=True)
class Generate(Request):
    """Generate what a problem asks for after its sequences. Answered by `Generated` or `Failed`."""

    STEP: ClassVar[str] = "generating"

    problem: Problem
    inputs: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Generated:
    tokens: np.ndarray
    """(batch, tokens)"""


@dataclass(frozen=True)
class Ask(Request):
    """What real weights are for. Answered by `Answered` or `Failed`."""

    STEP: ClassVar[str] = "answering"

    problem: Problem


@dataclass(frozen=True)
class Answered:
    answers: list[Any]


class AnsweringSession(ImplementationSession):
    """One implementation, inside the model that its factory makes."""

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {Generate: self.generate, Ask: self.ask}

    def generate(self, request: Generate) -> Generated:
        """Greedily."""
        from harness.models.building import generated

        return Generated(generated(request.problem, self._model(request.problem), request.inputs))

    def ask(self, request: Ask) -> Answered:
        """In the dtype of the problem."""
        from harness.models.real_answers import answers

        return Answered(answers(self._model(request.problem)))

    def _model(self, problem: Problem) -> Any:
        ready: Any = self.implementation.factory(problem)
        return ready.model


class AnsweringPass:
    """One implementation after the other, when nothing is timed any more."""

    def __init__(self, plan: Plan, cells: list[Cell], launcher: Launcher = Worker):
        self._plan = plan
        self._launcher = launcher
        measured = {cell.key: cell for cell in cells if cell.status is Status.OK}
        asked = [problem for problem in plan.problems if isinstance(problem, Problem)]
        self._generating = [problem for problem in asked if problem.generate]
        of_real_weights = {problem.model: problem for problem in reversed(asked) if problem.known.answers}
        self._asked = list(of_real_weights.values())  # The first problem of each model: answers do not depend on lengths.
        self._cells = {
            (field, problem.name): [(c, cell) for c in plan.contenders if (cell := measured.get((c.name, problem.name)))]
            for field, problems in (("generation", self._generating), ("answers", self._asked))
            for problem in problems
        }

    @property
    def total(self) -> int:
        """Cells that will be looked at."""
        return sum(len(self._due(field, name)) for field, name in self._cells)

    def found(self) -> Iterator[tuple[Cell, Generation | RealAnswers | Failed]]:
        """Each cell with what came out, or why nothing."""
        for problem in self._generating:
            if due := self._due("generation", problem.name):
                inputs = prompt(problem, self._plan.seed)
                exact = oracle.generated(problem, inputs)
                for contender, cell in due:
                    reply = self._reply(contender, Generate(problem, inputs))
                    yield cell, reply if isinstance(reply, Failed) else _parted(problem, inputs, exact, reply.tokens)
        for problem in self._asked:
            if due := self._due("answers", problem.name):
                right = oracle.answers(problem)
                for contender, cell in due:
                    reply = self._reply(contender, Ask(problem))
                    yield cell, reply if isinstance(reply, Failed) else RealAnswers.compared(reply.answers, right)

    def _due(self, field: str, name: str) -> list[tuple[Contender, Cell]]:
        return [(contender, cell) for contender, cell in self._cells[field, name] if getattr(cell, field) is None]

    def _reply(self, contender: Contender, request: Request) -> Any:
        plan = self._plan
        start = opening(contender, AnsweringSession, plan.threads, plan.memory_bytes)
        with self._launcher(start, environment(contender, plan.threads), plan.timeout_s) as worker:
            return worker.ask(request, plan.timeout_s)


def _parted(problem: Problem, inputs: Arrays, exact: np.ndarray, tokens: np.ndarray) -> Generation:
    """Where tokens part from the exact ones, and how near the two were."""
    differ = np.argwhere((tokens != exact).T)
    if not len(differ):
        return Generation(problem.generate)
    at = int(differ[0][0])
    sequences = [int(sequence) for place, sequence in differ if place == at]
    gap, unit = oracle.preferences(problem, inputs, exact[:, : at + 1], tokens[:, at], sequences)
    return Generation(problem.generate, at, gap, unit)


def prompt(problem: Problem, seed: int) -> Arrays:
    """What is generated after: the sequences of the problem."""
    from harness.models.operator import MODEL

    inputs = MODEL.inputs(problem, seed)
    inputs.pop("decoder_ids", None)
    return inputs
