"""What comes out of models with an implementation inside: the text that they generate, and what real weights answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from harness.errors import Status
from harness.measure.plan import Plan
from harness.measure.pool import Launcher
from harness.models import oracle
from harness.models.messages import Answered, Ask, Generate, Generated
from harness.models.problem import Problem
from harness.operators.base import Arrays
from harness.plugins.contender import Contender
from harness.plugins.session import ImplementationSession, environment, opening
from harness.records.cell import Cell
from harness.records.generation import Generation
from harness.records.real_answers import RealAnswers
from harness.workers.messages import Failed, Request
from harness.workers.process import Worker


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
        asked = [problem for problem in plan.problems if isinstance(problem, Problem)]
        generating = [problem for problem in asked if problem.generate]
        # The first problem of each model: answers do not depend on lengths.
        real = list({problem.model: problem for problem in reversed(asked) if problem.known.answers}.values())
        self._questions: dict[str, list[_Text | _Real]] = {
            "generation": [_Text(p, plan.seed) for p in generating],
            "answers": [_Real(p) for p in real],
        }
        self._measured = {cell.key: cell for cell in cells if cell.status is Status.OK}

    @property
    def total(self) -> int:
        """Cells that will be looked at."""
        return sum(len(self._due(contender)) for contender in self._plan.contenders)

    def found(self) -> Iterator[tuple[Cell, Generation | RealAnswers | Failed]]:
        """Each cell with what came out, or why nothing."""
        plan = self._plan
        for contender in plan.contenders:
            if due := self._due(contender):
                start = opening(contender, AnsweringSession, plan.threads, plan.memory_bytes)
                with self._launcher(start, environment(contender, plan.threads), plan.timeout_s) as worker:
                    for question, cell in due:
                        reply = worker.ask(question.request, plan.timeout_s)
                        yield cell, reply if isinstance(reply, Failed) else question.judged(reply)

    def _due(self, contender: Contender) -> list[tuple[_Text | _Real, Cell]]:
        """What it has not been asked yet, with the cell that it belongs to."""
        return [
            (question, cell)
            for field, questions in self._questions.items()
            for question in questions
            if (cell := self._measured.get((contender.name, question.problem.name))) and getattr(cell, field) is None
        ]


class _Text:
    """Generating what a problem asks for, and the oracle's tokens."""

    def __init__(self, problem: Problem, seed: int):
        self.problem = problem
        self._seed = seed

    @functools.cached_property
    def request(self) -> Generate:
        return Generate(self.problem, prompt(self.problem, self._seed))

    @functools.cached_property
    def _exact(self) -> np.ndarray:
        return oracle.generated(self.problem, self.request.inputs)

    def judged(self, reply: Generated) -> Generation:
        """Where tokens part from the exact ones, and how near the two were."""
        differ = np.argwhere((reply.tokens != self._exact).T)
        if not len(differ):
            return Generation(self.problem.generate)
        at = int(differ[0][0])
        sequences = [int(sequence) for place, sequence in differ if place == at]
        before = self._exact[:, : at + 1]
        gap, unit = oracle.preferences(self.problem, self.request.inputs, before, reply.tokens[:, at], sequences)
        return Generation(self.problem.generate, at, gap, unit)


class _Real:
    """What real weights are asked, and what the oracle answers."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.request = Ask(problem)

    @functools.cached_property
    def _right(self) -> list[Any]:
        return oracle.answers(self.problem)

    def judged(self, reply: Answered) -> RealAnswers:
        """How many are the same."""
        return RealAnswers.compared(reply.answers, self._right)


def prompt(problem: Problem, seed: int) -> Arrays:
    """What is generated after: the sequences of the problem."""
    from harness.models.operator import MODEL

    inputs = MODEL.inputs(problem, seed)
    return {name: array for name, array in inputs.items() if name != "decoder_ids"}
