"""The memory of every measured cell, in fresh processes, when nothing is being timed any more."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from harness.errors import Status
from harness.frameworks import adapter
from harness.measure import memory
from harness.measure.memory_session import MemorySession
from harness.measure.messages import MeasureMemory
from harness.measure.plan import Plan
from harness.measure.progress import Show, silent
from harness.plugins.contender import Contender
from harness.plugins.session import environment, opening
from harness.records.cell import Cell, Memory
from harness.workers.messages import Failed
from harness.workers.process import Worker


class MemoryPass:
    """Measures the memory of the cells of a plan. `show` is told (done, total, what is being done)."""

    def __init__(self, plan: Plan, show: Show = silent):
        self._plan = plan
        self._show = show
        self._stopping = False

    def memories(self, cells: list[Cell]) -> Iterator[tuple[Cell, Memory | Failed]]:
        """The memory of each measured cell that lacks it, in fresh processes, smaller problems first.

        Nothing is timed any more, so several implementations are measured at once where memory allows.
        """
        due: dict[str, list[Cell]] = {}
        for cell in cells:
            if cell.status is Status.OK and cell.memory is None:
                due.setdefault(cell.implementation, []).append(cell)
        total, count = sum(map(len, due.values())), 0
        found: queue.SimpleQueue[tuple[Cell, Memory | Failed]] = queue.SimpleQueue()
        pool = ThreadPoolExecutor(self._at_once(cells))
        try:
            # Those that need a process for each problem take longest, and begin.
            for contender in sorted(self._plan.contenders, key=lambda c: not _keeps_memory(c)):
                if contender.name in due:
                    pool.submit(self._measure, contender, due[contender.name], found)
            for count in range(total):
                self._show(count, total, "memory")
                yield found.get()
        finally:
            self._stopping = True
            pool.shutdown(wait=True, cancel_futures=True)

    def _at_once(self, cells: list[Cell]) -> int:
        """How many may be measured at once: as many as there are threads, while three score matrices of each would fit."""
        problems = [p for p in self._plan.problems if p.name in {c.problem for c in cells}]
        largest = max((3 * 4 * p.score_elements + p.bytes for p in problems), default=1)
        return max(1, min(self._plan.threads, self._plan.memory_bytes // max(1, largest)))

    def _measure(self, contender: Contender, cells: list[Cell], found: queue.SimpleQueue) -> None:
        """Measure the cells of one implementation, in one process or, where its allocator keeps memory, in one each."""
        problems = {p.name: p for p in self._plan.problems}
        keeps = _keeps_memory(contender)
        worker: Worker | None = None
        for cell in sorted(cells, key=lambda c: problems[c.problem].score_elements):
            if self._stopping:
                break
            if worker is None or not worker.alive or keeps:
                if worker is not None:
                    worker.close()
                worker = self._launch(contender)
            reply = worker.ask(MeasureMemory(problems[cell.problem], self._plan.seed), self._plan.timeout_s)
            found.put((cell, reply if isinstance(reply, Failed) else reply.memory))
        if worker is not None:
            worker.close()

    def _launch(self, contender: Contender) -> Worker:
        plan = self._plan
        variables = {**environment(contender, plan.threads), **memory.ALLOCATOR}
        return Worker(opening(contender, MemorySession, plan.threads, plan.memory_bytes), variables, plan.timeout_s)


def _keeps_memory(contender: Contender) -> bool:
    return not contender.broken and adapter(contender.framework).keeps_memory(contender.device)
