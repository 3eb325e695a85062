"""The workers of a run: at most one for each contender, as many as memory allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping

from harness.measure.plan import Plan
from harness.measure.session import MeasuringSession
from harness.plugins.contender import Contender
from harness.plugins.session import environment, opening
from harness.workers.messages import Failed, Start
from harness.workers.process import Worker

Launcher = Callable[[Start, Mapping[str, str], float], Worker]
"""(first message, variables of the environment, seconds to wait for an answer) -> a worker. `Worker` itself is one."""


class WorkerPool:
    """Starts workers when they are needed, and ends them."""

    def __init__(self, plan: Plan, launcher: Launcher):
        self._plan = plan
        self._launcher = launcher
        self._workers: dict[str, Worker] = {}

    def load(self, contenders: Iterable[Contender], doing: Callable[[str], None]) -> None:
        """Start the workers of contenders, as many at a time as there are threads, since imports take one each.

        Half of the memory is left to the problems; a worker that is not started here is started when it is needed.
        """
        loading: deque[Worker] = deque()
        for contender in contenders:
            if contender.absent:
                continue
            doing(f"loading {contender.name}")
            if 2 * sum(worker.resident_bytes() for worker in self._workers.values()) > self._plan.memory_bytes:
                break
            self._workers[contender.name] = self.launch(contender)
            loading.append(self._workers[contender.name])
            if len(loading) >= self._plan.threads:
                loading.popleft().wait_until_ready()
        for worker in loading:
            worker.wait_until_ready()

    def launch(self, contender: Contender) -> Worker:
        """A worker that the pool does not keep."""
        plan = self._plan
        start = opening(contender, MeasuringSession, plan.threads, plan.memory_bytes)
        return self._launcher(start, environment(contender, plan.threads), plan.timeout_s)

    def worker(self, contender: Contender) -> Worker | Failed:
        """The contender's worker, started where there is none."""
        worker = self._workers.get(contender.name)
        if worker is None or not worker.alive:
            worker = self._workers[contender.name] = self.launch(contender)
        ready = worker.wait_until_ready()
        if isinstance(ready, Failed):
            self.stop(contender)
            return ready
        return worker

    def stop(self, contender: Contender) -> None:
        """End the contender's worker, if there is one."""
        worker = self._workers.pop(contender.name, None)
        if worker is not None:
            worker.kill()

    def has_room(self, needed_bytes: int, busy: Collection[str]) -> bool:
        """Whether the contenders called `busy` may come to need so much. Idle workers are ended where that helps."""
        idle = {name: worker for name, worker in self._workers.items() if name not in busy}
        if needed_bytes + sum(worker.resident_bytes() for worker in idle.values()) < self._plan.memory_bytes:
            return True
        for name, worker in idle.items():  # Left from the problem before; whoever is next is started again.
            worker.kill()
            del self._workers[name]
        return needed_bytes < self._plan.memory_bytes

    def close(self) -> None:
        """End every worker."""
        for worker in self._workers.values():
            worker.kill()
        self._workers.clear()
