"""What a model should give: the model in float64, the formula for its attention, in a process of its own.

How far off an output may be is measured, and not derived: by the root of the mean square of what the model's eager attention
in the problem's dtype is off by, at its position and in its column. That is what rounding explains, in the whole model;
`UNITS` of it are admitted.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from harness.errors import UserError
from harness.models.messages import Answered, Ask, Compute, Computed, Generate, Generated, Prefer, Preferred
from harness.models.problem import Problem
from harness.operators.answer import Expected, Tensor
from harness.operators.base import Arrays
from harness.records.generation import UNITS
from harness.workers.messages import Failed, Request, Start
from harness.workers.process import Worker

ANYTHING = 1e300
"""A bound within which every number lies."""

TIMEOUT_S = 600.0

_PRIOR = 16

_LEAST = 1e-3
"""Of the root of the mean square: the logarithm of an error that is zero by chance must not count for much."""


class OracleSession:
    """Keeps the model of the last problem."""

    ready = None

    def __init__(self) -> None:
        import torch

        self._torch = torch

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {Compute: self.compute, Generate: self.generate, Prefer: self.prefer, Ask: self.ask}

    def compute(self, request: Compute) -> Computed:
        """In float64, and in the problem's dtype."""
        problem = request.problem
        exact = self._run(_exact(problem), request)
        rounded = self._run(_rounded(problem), request).astype(np.float64)
        return Computed(exact, units(rounded - exact, counted(problem, request.inputs)))

    def generate(self, request: Generate) -> Generated:
        """Greedily."""
        from harness.models.building import generated

        return Generated(generated(request.problem, _exact(request.problem), request.inputs))

    def ask(self, request: Ask) -> Answered:
        """With the weights rounded to the problem's dtype."""
        from harness.models.real_answers import answers

        return Answered(answers(_exact(request.problem)))

    def prefer(self, request: Prefer) -> Preferred:
        """From the logits of what follows all tokens but the last."""
        from harness.models.building import next_logits

        problem, before, rows = request.problem, request.tokens[:, :-1], np.arange(len(request.tokens))
        exact, rounded = (
            next_logits(problem, model(problem), request.inputs, before).double().numpy() for model in (_exact, _rounded)
        )
        gaps = exact[rows, request.tokens[:, -1]] - exact[rows, request.others]
        return Preferred(gaps, float(np.sqrt(np.mean((rounded - exact) ** 2))))

    def _run(self, model: Any, request: Compute) -> np.ndarray:
        from harness.frameworks import adapter
        from harness.models.building import forward

        torch = adapter("torch")("cpu", self._torch.get_num_threads())
        native = {name: torch.from_numpy(array) for name, array in request.inputs.items()}
        if "pixels" in native:
            native["pixels"] = native["pixels"].to(next(model.parameters()).dtype)
        call = forward(request.problem, model, native.pop("past_ids", None))
        mask = native.pop("mask", None)
        return torch.to_numpy(call(*native.values(), **({} if mask is None else {"mask": mask})))


def _exact(problem: Problem) -> Any:
    """The model in float64, with the formula for its attention."""
    from harness.models import exact
    from harness.models.building import built

    model = built(problem, "float64")
    exact.register()
    model.set_attn_implementation(exact.NAME)
    return model


def _rounded(problem: Problem) -> Any:
    """The model in the problem's dtype, with its own eager attention."""
    from harness.models.building import built

    model = built(problem)
    model.set_attn_implementation("eager")
    return model


def counted(problem: Problem, inputs: Arrays) -> np.ndarray:
    """Boolean (batch, positions): where an output means something; that of padding means nothing."""
    if "mask" not in inputs:
        return np.ones((problem.batch, problem.positions), bool)
    return inputs["mask"][:, -problem.positions :]


def units(errors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """What rounding explains of each output, of the shape of the errors (batch, positions, columns), 0 where it counts not.

    Trained models have positions and columns whose errors are many times those of others: a mean over all would be too
    strict there, and too lenient elsewhere. An error's size is a factor of its position times one of its column, taken from
    means of logarithms, which no single error decides; each is drawn towards 1 as if `_PRIOR` usual errors had been seen.
    """
    squares = errors[counts] ** 2
    found = np.zeros(errors.shape)
    if whole := squares.mean():
        logs = np.log(np.maximum(squares, _LEAST**2 * whole))
        logs -= logs.mean()
        factors = np.exp(sum(logs.mean(axis, keepdims=True) * (n / (n + _PRIOR)) for axis, n in enumerate(logs.shape)))
        found[counts] = np.sqrt(factors * (squares / factors).mean())
    return found


_WORKERS: dict[int, Worker] = {}


def _ask(request: Any) -> Any:
    """Of the oracle's process, which is started when it is needed. Raises `UserError` when it cannot answer."""
    worker = _WORKERS.get(0)
    if worker is None or not worker.alive:
        threads = len(os.sched_getaffinity(0))  # Nothing is timed while it computes.
        worker = _WORKERS[0] = Worker(Start("harness.models.oracle:OracleSession", (), threads, 0), {}, TIMEOUT_S)
        atexit.register(worker.kill)
    reply = worker.ask(request, TIMEOUT_S)
    worker.pause()
    if isinstance(reply, Failed):
        raise UserError(f"the oracle of {request.problem.name} failed: {reply.reason}")
    return reply


def expected(problem: Problem, inputs: Arrays) -> Expected:
    """The output, and how far off it may be. Raises `UserError` when the oracle cannot compute it."""
    reply = _ask(Compute(problem, dict(inputs)))
    counts = np.broadcast_to(counted(problem, inputs)[..., None], reply.value.shape)
    value = np.where(counts, reply.value, 0.0)  # Of padding eager attention may make anything, nan too.
    bound = np.where(counts, UNITS * reply.unit, ANYTHING)
    return {"out": Tensor(value, bound, excused=~counts)}


def generated(problem: Problem, inputs: Arrays) -> np.ndarray:
    """The tokens (batch, tokens) that follow the sequences. Raises like `expected`."""
    return _ask(Generate(problem, dict(inputs))).tokens


def answers(problem: Problem) -> list[Any]:
    """What the problem's model answers with real weights. Raises like `expected`."""
    return _ask(Ask(problem)).answers


def preferences(
    problem: Problem, inputs: Arrays, tokens: np.ndarray, others: np.ndarray, sequences: Collection[int]
) -> tuple[float, float]:
    """(by how much, at most, it prefers the last of its `tokens` to the `others` in some of the sequences, what rounding
    explains). Raises like `expected`."""
    reply = _ask(Prefer(problem, dict(inputs), tokens, others))
    return max(float(reply.gaps[sequence]) for sequence in sequences), reply.unit
