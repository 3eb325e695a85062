"""The parent: plan in, records out. It imports no framework and computes nothing while a worker is being timed.

A process of every contender, loaded side by side; for each problem the oracle's answers, every contender built and verified,
and rounds, in which each has a turn in shuffled order while the others are stopped. Then another process of every contender,
until each cell is known well enough. Memory is `memory_pass`'s, afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping

from harness.analysis.estimates import Estimates, Interval
from harness.errors import Status, describe
from harness.measure import cells as records
from harness.measure.answers import Answers
from harness.measure.blocks import Blocks
from harness.measure.messages import Rate, Rated
from harness.measure.plan import Plan
from harness.measure.pool import Launcher, WorkerPool
from harness.measure.predict import History
from harness.measure.stopping import is_open, with_reason_to_stop
from harness.operators.problem import Problem
from harness.plugins.contender import Contender
from harness.plugins.implementation import Implementation
from harness.records.cell import Cell
from harness.records.limits import Limits
from harness.workers.messages import Failed
from harness.workers.process import Worker


class Manager:
    """Carries out a plan; `cells` yields each record as it becomes known. `doing` is told what is being done."""

    def __init__(
        self,
        plan: Plan,
        implementations: Mapping[str, Implementation],
        doing: Callable[[str], None] = lambda text: None,
        launcher: Launcher = Worker,
    ):
        self.limits: Limits | None = None
        """What the processor can do at most: what is faster by far is impossible."""
        self._plan = plan
        self._implementations = implementations
        self._doing = doing
        self._pool = WorkerPool(plan, launcher)
        self._history = History(plan.effort, plan.memory_bytes)
        self._draw = random.Random()
        self._blocks = Blocks(plan, self._pool, self._history, self._draw, doing)
        self._cells: dict[tuple[str, str], Cell] = {}
        self._answered: dict[str, Answers] = {}

    def close(self) -> None:
        """End every worker."""
        self._pool.close()

    def matmul_rates(self) -> dict[str, float]:
        """FLOP/s of a large matrix product for each (device, dtype) of the plan, as "cuda float32", where it can be had.

        That of the processor is one of its limits.
        """
        devices = {contender.device for contender in self._plan.contenders if not contender.absent} - {"cpu"}
        wanted = {(device, problem.dtype) for device in devices for problem in self._plan.problems}
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

    def cells(self, known: Iterable[Cell]) -> Iterator[Cell]:
        """The records of the run as they become known, given those of earlier sessions: of one cell after each process."""
        self._cells = {cell.key: cell for cell in known}
        for cell in self._cells.values():
            self._remember(cell)
        while todo := list(self._todo()):
            wanted = {contender.name for _, contenders in todo for contender in contenders}
            self._pool.load([contender for contender in self._plan.contenders if contender.name in wanted], self._doing)
            for problem, contenders in todo:
                for cell in self._measured(problem, contenders):
                    self._cells[cell.key] = cell
                    yield cell
            self._pool.close()

    def _todo(self) -> Iterator[tuple[Problem, list[Contender]]]:
        """The contenders that another process has to measure, by problem, smaller problems first."""
        for problem in sorted(self._plan.problems, key=lambda p: p.dense_flops):
            contenders = [c for c in self._plan.contenders if is_open(self._cells.get((c.name, problem.name)))]
            if contenders:
                yield problem, contenders

    def _measured(self, problem: Problem, contenders: list[Contender]) -> Iterator[Cell]:
        """One process of each contender; those that are known well enough take part where they are the baseline."""
        runnable = []
        for contender in contenders:
            new = (contender.name, problem.name) not in self._cells
            if new and (excused := self._excuse(contender, problem)):
                yield excused
            else:
                runnable.append(contender)
        if not runnable:
            return
        before = {name: cell for (name, posed), cell in self._cells.items() if posed == problem.name and cell.timing}
        timings = {name: cell.timing for name, cell in before.items() if cell.timing}
        runnable += [c for c in self._plan.contenders if c.name == self._plan.baseline in before and c not in runnable]
        process = 1 + max((number for timing in timings.values() for number in timing.processes), default=-1)
        self._doing(f"{problem.name}: the oracle")
        answers = self._answers(problem)
        try:
            answers.renew()
        except Exception as error:  # It needs more memory than there is, or a plug-in's operator raised it.
            status = Status.OUT_OF_MEMORY if isinstance(error, MemoryError) else Status.ERROR
            failed = Failed(status, f"the oracle has no answer to this problem: {describe(error)}")
            yield from (records.rejected(self._plan, contender, problem, failed, "") for contender in contenders)
            return
        runnable.sort(key=lambda contender: contender.name != self._plan.baseline)
        found = {}
        for outcome in self._blocks.outcomes(runnable, answers, process):
            name = outcome.contender.name
            if outcome.failed:
                yield records.rejected(self._plan, outcome.contender, problem, outcome.failed, outcome.printed)
                timings.pop(name, None)
            else:
                found[name] = records.measured(self._plan, problem, outcome, before.get(name), answers.share)
        answers.forget()
        estimates = Estimates(timings | {name: cell.timing for name, cell in found.items() if cell.timing})
        for name, cell in found.items():
            yield with_reason_to_stop(self._possible(cell, estimates.time(name)), estimates.time(name), self._plan.effort)

    def _possible(self, cell: Cell, time: Interval) -> Cell:
        """The cell, or a record without a time where it is faster than the machine's limits allow."""
        problem, limits = cell.problem, self.limits
        if limits is None or cell.device != "cpu":
            return cell
        flops, bytes = problem.flops * problem.least_share, problem.bytes * problem.least_share
        floor_s = limits.floor_s(flops, bytes, problem.dtype, self._plan.threads)
        return records.impossible(cell, time.median_s, floor_s) if floor_s and time.median_s < floor_s else cell

    def _answers(self, problem: Problem) -> Answers:
        """Kept from process to process, with the first answer."""
        if problem.name not in self._answered:
            operator = next(iter(self._implementations.values())).operator
            self._answered[problem.name] = Answers(operator, problem, self._plan.seed, self._draw)
        return self._answered[problem.name]

    def _remember(self, cell: Cell) -> None:
        """Learn from a record of an earlier session of this run, for predictions."""
        problem = next((p for p in self._plan.problems if p.name == cell.problem.name), None)
        if problem is not None and cell.timing is not None:
            self._history.add(cell.implementation, problem, min(cell.timing.samples_s), 0)

    def _excuse(self, contender: Contender, problem: Problem) -> Cell | None:
        """The record of a cell that will not be run, or None for one that will."""
        plan = self._plan
        if contender.absent:
            status = Status.ERROR if contender.broken else Status.UNAVAILABLE
            return records.cell(plan, contender, problem, status, reason=contender.absent)
        try:
            unsupported = self._implementations[contender.name].supports_on(contender.device).unsupported_reasons(problem)
        except Exception as error:  # Of a plug-in's extra_check.
            return records.cell(plan, contender, problem, Status.ERROR, reason=f"its extra_check: {describe(error)}")
        if unsupported:
            return records.cell(plan, contender, problem, Status.UNSUPPORTED, reason="; ".join(unsupported))
        over = self._history.over_budget(contender.name, problem)
        return records.cell(plan, contender, problem, Status.OVER_BUDGET, reason=over) if over else None
