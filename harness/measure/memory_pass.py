"""The memory of every measured cell, in fresh processes, when nothing is being timed any more."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from harness.errors import Status
from harness.frameworks import adapter
from harness.measure import memory, tracer
from harness.measure.memory_session import LONGEST_TRACED_S, MemorySession
from harness.measure.messages import MeasureMemory, TraceMemory
from harness.measure.plan import Plan
from harness.measure.pool import Launcher
from harness.operators.problem import Problem
from harness.plugins.contender import Contender
from harness.plugins.session import environment, opening
from harness.records.cell import Cell, Memory
from harness.workers.messages import Failed
from harness.workers.process import Worker

_PRECISE = 0.02
"""The mark stands where it may be wrong by this share of the workspace at most: by its step, or by objects of Python, whose
memory stays resident between calls."""


class MemoryPass:
    """The memory of each measured cell that lacks it, in fresh processes, smaller problems first.

    Nothing is timed any more, so several implementations are measured at once where memory allows.
    """

    def __init__(self, plan: Plan, cells: Iterable[Cell], launcher: Launcher = Worker):
        self._plan = plan
        self._launcher = launcher
        self._problems = {problem.name: problem for problem in plan.problems}
        self._due: dict[str, list[Cell]] = {}
        for cell in cells:
            if cell.status is Status.OK and cell.memory is None:
                self._due.setdefault(cell.implementation, []).append(cell)
        self._stopping = False
        self._alive: set[Worker] = set()

    @property
    def total(self) -> int:
        """Cells to be measured."""
        return sum(map(len, self._due.values()))

    def memories(self) -> Iterator[tuple[Cell, Memory | Failed]]:
        """Each cell with its memory, or why it has none, as they are finished."""
        found: queue.SimpleQueue[tuple[Cell, Memory | Failed]] = queue.SimpleQueue()
        pool = ThreadPoolExecutor(self._at_once())
        try:
            # Those that need a process for each problem take longest, and begin.
            for contender in sorted(self._plan.contenders, key=lambda c: not _keeps_memory(c)):
                if contender.name in self._due:
                    pool.submit(self._measure, contender, self._due[contender.name], found)
            for _ in range(self.total):
                yield found.get()
        finally:
            self._stopping = True
            for worker in list(self._alive):  # Nothing, unless it was stopped early.
                worker.terminate()
            pool.shutdown(wait=True, cancel_futures=True)

    def _at_once(self) -> int:
        """As many as there are threads, while three intermediate arrays of each in float32 would fit."""
        problems = [self._problems[cell.problem.name] for cells in self._due.values() for cell in cells]
        largest = max((3 * 4 * p.intermediate_elements + p.bytes for p in problems), default=1)
        return max(1, min(self._plan.threads, self._plan.memory_bytes // max(1, largest)))

    def _measure(self, contender: Contender, cells: list[Cell], found: queue.SimpleQueue) -> None:
        """Measure the cells of one implementation, in one process or, where its allocator keeps memory, in one each."""
        keeps = _keeps_memory(contender)
        worker: Worker | None = None
        posed = ((self._problems[cell.problem.name], cell) for cell in cells)
        for problem, cell in sorted(posed, key=lambda pair: pair[0].intermediate_elements):
            if self._stopping:
                break
            if worker is None or not worker.alive or keeps:
                if worker is not None:
                    self._close(worker)
                worker = self._launch(contender)
                self._alive.add(worker)
            found.put((cell, self._ask(worker, contender, problem)))
        if worker is not None:
            self._close(worker)

    def _close(self, worker: Worker) -> None:
        self._alive.discard(worker)
        worker.close()

    def _ask(self, worker: Worker, contender: Contender, problem: Problem) -> Memory | Failed:
        """By the high-water mark, then by a trace of allocations where it can be had; should that fail, the mark stands."""
        seed, timeout_s = self._plan.seed, self._plan.timeout_s
        marked = worker.ask(MeasureMemory(problem, seed), timeout_s)
        if isinstance(marked, Failed):
            return marked
        uncertain = max(marked.memory.resolution_bytes, marked.python_bytes)
        precise = uncertain <= _PRECISE * marked.memory.workspace_bytes
        if precise or contender.device != "cpu" or marked.call_s > LONGEST_TRACED_S or not tracer.available():
            return marked.memory
        traced = worker.ask(TraceMemory(problem, seed, marked), timeout_s)
        return marked.memory if isinstance(traced, Failed) else traced.memory

    def _launch(self, contender: Contender) -> Worker:
        plan = self._plan
        own = adapter(contender.framework).memory_environment(contender.device)
        variables = {**environment(contender, plan.threads), **memory.ALLOCATOR, **own}
        return self._launcher(opening(contender, MemorySession, plan.threads, plan.memory_bytes), variables, plan.timeout_s)


def _keeps_memory(contender: Contender) -> bool:
    return not contender.broken and adapter(contender.framework).keeps_memory(contender.device)
