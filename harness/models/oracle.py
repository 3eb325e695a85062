"""What a model should give: its own eager attention in float64, in a process of its own.

How far off an output may be is measured, and not derived: the root of the mean square of what the model's eager attention in
the problem's dtype is off by, at the positions that count. That is what rounding explains, in the whole model. `UNITS` of it
are admitted: of a million normal numbers the largest is at 4.9, and another kernel may round somewhat more.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.errors import UserError
from harness.models.problem import Problem
from harness.operators.answer import Expected, Tensor
from harness.operators.base import Arrays
from harness.workers.messages import Failed, Request, Start
from harness.workers.process import Worker

UNITS = 16.0

ANYTHING = 1e300
"""A bound within which every number lies."""

TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Answer(Request):
    """Run a problem. Answered by `Answered`."""

    STEP: ClassVar[str] = "the oracle"

    problem: Problem
    inputs: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Answered:
    value: np.ndarray
    """float64"""
    unit: float
    """Root of the mean square of what rounding explains."""


class OracleSession:
    """Keeps the model of the last problem."""

    ready = None

    def __init__(self) -> None:
        import torch

        self._torch = torch

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {Answer: self.answer}

    def answer(self, request: Answer) -> Answered:
        """In float64, and in the problem's dtype."""
        problem = request.problem
        exact = self._run(problem, request.inputs, "float64")
        rounded = self._run(problem, request.inputs, None).astype(np.float64)
        counts = counted(problem, request.inputs)
        return Answered(exact, float(np.sqrt(np.mean((rounded - exact)[counts] ** 2))))

    def _run(self, problem: Problem, inputs: Arrays, dtype: str | None) -> np.ndarray:
        from harness.frameworks import adapter
        from harness.models.building import built, forward

        torch = adapter("torch")("cpu", self._torch.get_num_threads())
        model = built(problem, dtype)
        model.set_attn_implementation("eager")
        native = {name: torch.from_numpy(array) for name, array in inputs.items()}
        if "pixels" in native:
            native["pixels"] = native["pixels"].to(next(model.parameters()).dtype)
        call = forward(problem, model, native.pop("past_ids", None))
        mask = native.pop("mask", None)
        return torch.to_numpy(call(*native.values(), **({} if mask is None else {"mask": mask})))


def counted(problem: Problem, inputs: Arrays) -> np.ndarray:
    """Boolean (batch, positions): where an output means something; that of padding means nothing."""
    if "mask" not in inputs:
        return np.ones((problem.batch, problem.positions), bool)
    return inputs["mask"][:, -problem.positions :]


_WORKERS: dict[int, Worker] = {}


def expected(problem: Problem, inputs: Arrays) -> Expected:
    """The output, and how far off it may be. Raises `UserError` when the oracle cannot compute it."""
    worker = _WORKERS.get(0)
    if worker is None or not worker.alive:
        worker = _WORKERS[0] = Worker(Start("harness.models.oracle:OracleSession", (), 1, 0), {}, TIMEOUT_S)
        atexit.register(worker.kill)
    reply = worker.ask(Answer(problem, dict(inputs)), TIMEOUT_S)
    if isinstance(reply, Failed):
        raise UserError(f"the oracle of {problem.name} failed: {reply.reason}")
    counts = np.broadcast_to(counted(problem, inputs)[..., None], reply.value.shape)
    value = np.where(counts, reply.value, 0.0)  # Of padding eager attention may make anything, nan too.
    bound = np.where(counts, UNITS * reply.unit, ANYTHING)
    return {"out": Tensor(value, bound, excused=~counts)}
