"""The parent: plan in, records out. It imports no framework and computes nothing while a worker is being timed.

For each problem: the oracle's answer; every contender in turn built and verified; rounds, in which each has a turn in
shuffled order while the others sleep; a record each. Memory is the weigher's, afterwards.
"""

from __future__ import annotations

import random
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import Status
from harness.measure.load import LoadMeter
from harness.measure.messages import Finish, Finished, Prepare, Prepared, Rate, Rated, Rejected, Sample, Sampled
from harness.measure.plan import Plan
from harness.measure.predict import History
from harness.measure.progress import Show, silent
from harness.measure.session import MeasuringSession
from harness.operators import answer
from harness.operators.attention import reference
from harness.operators.attention.inputs import make_inputs
from harness.operators.attention.problem import Problem
from harness.plugins.contender import Contender
from harness.plugins.implementation import Implementation
from harness.plugins.session import environment, opening
from harness.records.accuracy import Accuracy
from harness.records.cell import Cell, Timing
from harness.workers.messages import Failed
from harness.workers.process import Worker


@dataclass
class _Entry:
    """A contender that has been prepared for the current problem."""

    contender: Contender
    worker: Worker
    prepared: Prepared
    samples: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    busy_after_turn: bool = False
    """It kept the processor busy after a turn for longer than was waited."""
    failed: Failed | None = None


class Manager:
    """Carries out a plan; `cells` yields each record as it is finished. `show` is told (done, total, what is being done)."""

    def __init__(
        self,
        plan: Plan,
        implementations: Mapping[str, Implementation],
        show: Show = silent,
    ):
        self._plan = plan
        self._implementations = implementations
        self._show = show
        self._workers: dict[str, Worker] = {}
        self._history = History(plan.effort, plan.memory_bytes)
        self._order = random.Random(plan.seed)

    def close(self) -> None:
        """End every worker."""
        for worker in self._workers.values():
            worker.kill()
        self._workers.clear()

    def matmul_rates(self) -> dict[str, float]:
        """FLOP/s of a large matrix product for each (device, dtype) of the plan, as "cpu float32", where it can be had."""
        wanted = {(c.device, p.dtype) for c in self._plan.contenders if not c.absent for p in self._plan.problems}
        rates = {}
        for device, dtype in sorted(wanted):
            for contender in self._plan.contenders:
                if contender.device != device or contender.absent or contender.framework not in ("numpy", "torch"):
                    continue
                with self._launch(contender) as worker:
                    reply = worker.ask(Rate(dtype), self._plan.timeout_s)
                if isinstance(reply, Rated):
                    rates[f"{device} {dtype}"] = reply.flops_per_s
                    break
        return rates

    # --- time ----------------------------------------------------------------------------------------

    def cells(self, done: set[tuple[str, str]]) -> Iterator[Cell]:
        """A record for every (implementation, problem) that is not in `done`, smaller problems first."""
        problems = sorted(self._plan.problems, key=lambda p: p.dense_flops)
        total = len(problems) * len(self._plan.contenders)
        count = len(done)
        for problem in problems:
            left = [c for c in self._plan.contenders if (c.name, problem.name) not in done]
            for cell in self._problem(problem, left, count, total):
                count += 1
                yield cell

    def load(self) -> None:
        """Start the workers, as many at a time as there are threads, since imports take one each.

        Half of the memory is left to the problems; a worker that is not started here is started when it is needed.
        """
        present = [c for c in self._plan.contenders if not c.absent]
        loading: deque[Worker] = deque()
        for number, contender in enumerate(present):
            self._show(number, len(present), f"loading {contender.name}")
            if 2 * sum(worker.resident_bytes() for worker in self._workers.values()) > self._plan.memory_bytes:
                break
            self._workers[contender.name] = self._launch(contender)
            loading.append(self._workers[contender.name])
            if len(loading) >= self._plan.threads:
                loading.popleft().wait_until_ready()
        for worker in loading:
            worker.wait_until_ready()

    def remember(self, cell: Cell) -> None:
        """Learn from a record of an earlier session of this run, for predictions."""
        problem = next((p for p in self._plan.problems if p.name == cell.problem), None)
        if problem is not None and cell.timing is not None:
            call_s = min(cell.timing.samples_s)
            self._history.add(cell.implementation, problem, call_s, 0)

    def _problem(self, problem: Problem, contenders: list[Contender], count: int, total: int) -> Iterator[Cell]:
        runnable = []
        for contender in contenders:
            excused = self._excuse(contender, problem)
            if excused is None:
                runnable.append(contender)
            else:
                count += 1
                yield excused
        if not runnable:
            return
        self._show(count, total, f"{problem.name}: the oracle")
        with tempfile.TemporaryDirectory(prefix="attention-harness-") as scratch:
            path = Path(scratch) / "expected.npz"
            inputs = make_inputs(problem, self._plan.seed)
            answer.save(reference.expected(problem, inputs, self._plan.seed), path)
            del inputs
            runnable.sort(key=lambda c: c.name != self._plan.baseline)
            for cell in self._blocks(problem, runnable, path, count, total):
                count += 1
                yield cell

    def _blocks(self, problem: Problem, waiting: list[Contender], path: Path, count: int, total: int) -> Iterator[Cell]:
        """As many contenders at a time as memory allows; the baseline takes part in every block."""
        number = 0
        baseline: _Entry | None = None
        waiting = list(waiting)
        while waiting:
            entries: list[_Entry] = [baseline] if baseline else []
            while waiting and self._room(entries):
                contender = waiting.pop(0)
                self._show(count, total, f"{problem.name}: {contender.name}")
                prepared = self._prepare(contender, problem, path)
                if isinstance(prepared, Cell):
                    count += 1
                    yield prepared
                else:
                    entries.append(prepared)
            self._rounds(problem, entries, number, count, total)
            for entry in entries:
                keep = waiting and entry.failed is None and entry.contender.name == self._plan.baseline
                if keep:
                    baseline = entry
                    continue
                if entry is baseline:
                    baseline = None
                cell = self._finish(entry, problem, number if (number or waiting) else None)
                count += 1
                yield cell
                if waiting:
                    self._stop(entry.contender)
            number += 1

    def _room(self, entries: list[_Entry]) -> bool:
        """Whether another worker may be alive beside these: always one more than the baseline, then while half is free.

        The next one's size is not known before it is there; a worker may grow to the size of the largest so far.
        """
        if len(entries) < 2:
            return True
        sizes = [e.prepared.resident_bytes + e.prepared.rise_bytes for e in entries]
        needed = sum(sizes) + max(sizes)
        taking_part = {e.contender.name for e in entries}
        idle = {name: worker for name, worker in self._workers.items() if name not in taking_part}
        if needed + sum(worker.resident_bytes() for worker in idle.values()) < self._plan.memory_bytes:
            return True
        for name, worker in idle.items():  # Left from the problem before; whoever is next is started again.
            worker.kill()
            del self._workers[name]
        return needed < self._plan.memory_bytes

    def _excuse(self, contender: Contender, problem: Problem) -> Cell | None:
        """The record of a cell that will not be run, or None for one that will."""
        if contender.broken:
            return _cell(contender, problem, Status.ERROR, contender.absent)
        if contender.absent:
            return _cell(contender, problem, Status.UNAVAILABLE, contender.absent)
        refusals = self._implementations[contender.name].supports_on(contender.device).refusals(problem)
        if refusals:
            return _cell(contender, problem, Status.UNSUPPORTED, "; ".join(refusals))
        over = self._history.over_budget(contender.name, problem)
        return _cell(contender, problem, Status.OVER_BUDGET, over) if over else None

    def _prepare(self, contender: Contender, problem: Problem, path: Path) -> _Entry | Cell:
        worker = self._worker(contender)
        if isinstance(worker, Failed):
            return _cell(contender, problem, worker.status, worker.reason)
        effort = self._plan.effort
        reply = worker.ask(
            Prepare(problem, self._plan.seed, str(path), effort.sample_s, effort.warmup_s), self._plan.timeout_s
        )
        if isinstance(reply, Prepared):
            self._history.add(contender.name, problem, reply.call_s, reply.rise_bytes)
            return _Entry(contender, worker, reply)
        assert isinstance(reply, Failed)
        self._stop(contender)  # A process that failed once is not asked again.
        if reply.status is Status.TIMEOUT:
            self._history.add(contender.name, problem, self._plan.timeout_s, 0)
        return _cell(contender, problem, reply.status, reply.reason, accuracy=_accuracy(reply))

    def _rounds(self, problem: Problem, entries: list[_Entry], block: int, count: int, total: int) -> None:
        effort = self._plan.effort
        for entry in entries:
            entry.busy_after_turn |= not entry.worker.wait_until_idle()
        meter = LoadMeter(entry.worker.pid for entry in entries)
        for number in range(effort.rounds):
            self._show(count, total, f"{problem.name}: round {number + 1} of {effort.rounds}")
            turn = [e for e in entries if e.failed is None and effort.takes_part(e.prepared.call_s, number)]
            self._order.shuffle(turn)
            for entry in turn:
                reply = entry.worker.ask(Sample(effort.turn_s), self._plan.timeout_s)
                if isinstance(reply, Sampled):
                    entry.samples += reply.samples_s
                    entry.rounds += [block * effort.rounds + number] * len(reply.samples_s)
                    entry.busy_after_turn |= not entry.worker.wait_until_idle()
                else:
                    assert isinstance(reply, Failed)
                    entry.failed = reply
        if warning := meter.warning():
            for entry in entries:
                entry.warnings.append(warning)

    def _finish(self, entry: _Entry, problem: Problem, block: int | None) -> Cell:
        contender, prepared = entry.contender, entry.prepared
        reply = entry.failed or entry.worker.ask(Finish(), self._plan.timeout_s)
        if isinstance(reply, Failed):
            self._stop(contender)
            return _cell(contender, problem, reply.status, reply.reason, accuracy=_accuracy(reply))
        assert isinstance(reply, Finished)
        self._history.add(contender.name, problem, min(entry.samples), prepared.rise_bytes)
        warnings = list(dict.fromkeys(entry.warnings))
        if entry.busy_after_turn:
            warnings.append("its threads kept spinning after a turn, which may have slowed the others")
        if block is not None:
            warnings.append(f"memory did not suffice for all at once; measured in block {block + 1} with the baseline")
        return _cell(
            contender,
            problem,
            Status.OK,
            accuracy=max(prepared.accuracy, reply.accuracy, key=lambda a: a.error_over_bound),
            timing=Timing(
                samples_s=tuple(entry.samples),
                rounds=tuple(entry.rounds),
                calls_per_sample=prepared.calls_per_sample,
                build_s=prepared.build_s,
                first_call_s=prepared.first_call_s,
                warmup_calls=prepared.warmup_calls,
            ),
            warnings=tuple(warnings),
            versions=reply.settings,
        )

    # --- workers -------------------------------------------------------------------------------------

    def _worker(self, contender: Contender) -> Worker | Failed:
        worker = self._workers.get(contender.name)
        if worker is None or not worker.alive:
            worker = self._workers[contender.name] = self._launch(contender)
        ready = worker.wait_until_ready()
        if isinstance(ready, Failed):
            self._stop(contender)
            return ready
        return worker

    def _launch(self, contender: Contender) -> Worker:
        plan = self._plan
        start = opening(contender, MeasuringSession, plan.threads, plan.memory_bytes)
        return Worker(start, environment(contender, plan.threads), plan.timeout_s)

    def _stop(self, contender: Contender) -> None:
        worker = self._workers.pop(contender.name, None)
        if worker is not None:
            worker.kill()


def _accuracy(failed: Failed) -> Accuracy | None:
    return failed.accuracy if isinstance(failed, Rejected) else None


def _cell(contender: Contender, problem: Problem, status: Status, reason: str = "", **found: object) -> Cell:
    return Cell(
        implementation=contender.name,
        framework=contender.framework,
        device=contender.device,
        problem=problem.name,
        status=status,
        reason=reason,
        **found,  # type: ignore[arg-type]
    )
