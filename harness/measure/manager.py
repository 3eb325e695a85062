"""The parent: plan in, records out. It imports no framework and computes nothing while a worker is being timed.

For each problem: the oracle's answer; every contender in turn built and verified; rounds, in which each has a turn in
shuffled order while the others sleep; a record each. Memory is `memory_pass`'s, afterwards.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from harness.errors import Status
from harness.measure.blocks import Blocks
from harness.measure.cells import cell
from harness.measure.messages import Rate, Rated
from harness.measure.plan import Plan
from harness.measure.pool import Launcher, WorkerPool
from harness.measure.predict import History
from harness.operators import answer
from harness.operators.problem import Problem
from harness.plugins.contender import Contender
from harness.plugins.implementation import Implementation
from harness.records.cell import Cell
from harness.workers.process import Worker


class Manager:
    """Carries out a plan; `cells` yields each record as it is finished. `doing` is told what is being done."""

    def __init__(
        self,
        plan: Plan,
        implementations: Mapping[str, Implementation],
        doing: Callable[[str], None] = lambda text: None,
        launcher: Launcher = Worker,
    ):
        self._plan = plan
        self._implementations = implementations
        self._doing = doing
        self._pool = WorkerPool(plan, launcher)
        self._history = History(plan.effort, plan.memory_bytes)
        self._blocks = Blocks(plan, self._pool, self._history, random.Random(plan.seed), doing)

    def close(self) -> None:
        """End every worker."""
        self._pool.close()

    def matmul_rates(self) -> dict[str, float]:
        """FLOP/s of a large matrix product for each (device, dtype) of the plan, as "cpu float32", where it can be had."""
        wanted = {(c.device, p.dtype) for c in self._plan.contenders if not c.absent for p in self._plan.problems}
        rates = {}
        for device, dtype in sorted(wanted):
            for contender in self._plan.contenders:
                if contender.device != device or contender.absent or contender.framework not in ("numpy", "torch"):
                    continue
                with self._pool.launch(contender) as worker:
                    reply = worker.ask(Rate(dtype), self._plan.timeout_s)
                if isinstance(reply, Rated):
                    rates[f"{device} {dtype}"] = reply.flops_per_s
                    break
        return rates

    def load(self) -> None:
        """Start the workers."""
        self._pool.load(self._doing)

    def remember(self, cell: Cell) -> None:
        """Learn from a record of an earlier session of this run, for predictions."""
        problem = next((p for p in self._plan.problems if p.name == cell.problem.name), None)
        if problem is not None and cell.timing is not None:
            self._history.add(cell.implementation, problem, min(cell.timing.samples_s), 0)

    def cells(self, done: Collection[tuple[str, str]]) -> Iterator[Cell]:
        """A record for every (implementation, problem) that is not in `done`, smaller problems first."""
        for problem in sorted(self._plan.problems, key=lambda p: p.dense_flops):
            left = [c for c in self._plan.contenders if (c.name, problem.name) not in done]
            runnable = []
            for contender in left:
                if excused := self._excuse(contender, problem):
                    yield excused
                else:
                    runnable.append(contender)
            if runnable:
                yield from self._measured(problem, runnable)

    def _measured(self, problem: Problem, contenders: list[Contender]) -> Iterator[Cell]:
        """Against the oracle's answer, which workers read from a file; the baseline comes first."""
        self._doing(f"{problem.name}: the oracle")
        operator = self._implementations[contenders[0].name].operator
        with tempfile.TemporaryDirectory(prefix="attention-harness-") as scratch:
            path = Path(scratch) / "expected.npz"
            inputs = operator.inputs(problem, self._plan.seed)
            answer.save(operator.expected(problem, inputs, self._plan.seed), path)
            del inputs
            contenders.sort(key=lambda contender: contender.name != self._plan.baseline)
            yield from self._blocks.cells(problem, contenders, path)

    def _excuse(self, contender: Contender, problem: Problem) -> Cell | None:
        """The record of a cell that will not be run, or None for one that will."""
        plan = self._plan
        if contender.absent:
            status = Status.ERROR if contender.broken else Status.UNAVAILABLE
            return cell(plan, contender, problem, status, reason=contender.absent)
        unsupported = self._implementations[contender.name].supports_on(contender.device).unsupported_reasons(problem)
        if unsupported:
            return cell(plan, contender, problem, Status.UNSUPPORTED, reason="; ".join(unsupported))
        over = self._history.over_budget(contender.name, problem)
        return cell(plan, contender, problem, Status.OVER_BUDGET, reason=over) if over else None
