"""One problem measured by its contenders: as many at a time as memory allows, in rounds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import Status
from harness.measure.cells import cell, rejected
from harness.measure.load import LoadMeter
from harness.measure.messages import Finish, Prepare, Prepared, Sample
from harness.measure.plan import Plan
from harness.measure.pool import WorkerPool
from harness.measure.predict import History
from harness.operators.problem import Problem
from harness.plugins.contender import Contender
from harness.records.cell import Cell, Timing
from harness.workers.messages import Failed
from harness.workers.process import Worker


@dataclass
class Entry:
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


class Blocks:
    """Measures one problem. The contenders that are alive together are a block; the baseline takes part in every block."""

    def __init__(self, plan: Plan, pool: WorkerPool, history: History, order: random.Random, doing: Callable[[str], None]):
        self._plan = plan
        self._pool = pool
        self._history = history
        self._order = order
        self._doing = doing

    def cells(self, problem: Problem, waiting: list[Contender], expected: Path) -> Iterator[Cell]:
        """A record for each of the contenders that wait; `expected` is the path of the oracle's answer."""
        number = 0
        baseline: Entry | None = None
        waiting = list(waiting)
        while waiting:
            entries: list[Entry] = [baseline] if baseline else []
            while waiting and self._has_room(entries):
                prepared = self._prepare(waiting.pop(0), problem, expected)
                if isinstance(prepared, Cell):
                    yield prepared
                else:
                    entries.append(prepared)
            self._rounds(problem, entries, number)
            for entry in entries:
                if waiting and entry.failed is None and entry.contender.name == self._plan.baseline:
                    baseline = entry
                    continue
                if entry is baseline:
                    baseline = None
                yield self._finish(entry, problem, number if (number or waiting) else None)
                if waiting:
                    self._pool.stop(entry.contender)
            number += 1

    def _has_room(self, entries: list[Entry]) -> bool:
        """Whether another worker may be alive beside these: always one more than the baseline, then while half is free.

        The next one's size is not known before it is there; a worker may grow to the size of the largest so far.
        """
        if len(entries) < 2:
            return True
        sizes = [entry.prepared.resident_bytes + entry.prepared.rise_bytes for entry in entries]
        return self._pool.has_room(sum(sizes) + max(sizes), {entry.contender.name for entry in entries})

    def _prepare(self, contender: Contender, problem: Problem, expected: Path) -> Entry | Cell:
        plan = self._plan
        self._doing(f"{problem.name}: {contender.name}")
        worker = self._pool.worker(contender)
        if isinstance(worker, Failed):
            return cell(plan, contender, problem, worker.status, reason=worker.reason)
        request = Prepare(problem, plan.seed, str(expected), plan.effort.sample_s, plan.effort.warmup_s)
        reply = worker.ask(request, plan.timeout_s)
        if isinstance(reply, Failed):
            printed = worker.printed()
            self._pool.stop(contender)  # A process that failed once is not asked again.
            if reply.status is Status.TIMEOUT:
                self._history.add(contender.name, problem, plan.timeout_s, 0)
            return rejected(plan, contender, problem, reply, printed)
        self._history.add(contender.name, problem, reply.call_s, reply.rise_bytes)
        return Entry(contender, worker, reply)

    def _rounds(self, problem: Problem, entries: list[Entry], block: int) -> None:
        effort = self._plan.effort
        for entry in entries:
            entry.busy_after_turn |= not entry.worker.wait_until_idle()
        meter = LoadMeter(entry.worker.pid for entry in entries)
        for number in range(effort.rounds):
            self._doing(f"{problem.name}: round {number + 1} of {effort.rounds}")
            turn = [e for e in entries if e.failed is None and effort.takes_part(e.prepared.call_s, number)]
            self._order.shuffle(turn)
            for entry in turn:
                self._turn(entry, block * effort.rounds + number)
        if warning := meter.warning():
            for entry in entries:
                entry.warnings.append(warning)

    def _turn(self, entry: Entry, number: int) -> None:
        reply = entry.worker.ask(Sample(self._plan.effort.turn_s), self._plan.timeout_s)
        if isinstance(reply, Failed):
            entry.failed = reply
            return
        entry.samples += reply.samples_s
        entry.rounds += [number] * len(reply.samples_s)
        entry.busy_after_turn |= not entry.worker.wait_until_idle()

    def _finish(self, entry: Entry, problem: Problem, block: int | None) -> Cell:
        contender, prepared = entry.contender, entry.prepared
        reply = entry.failed or entry.worker.ask(Finish(), self._plan.timeout_s)
        printed = entry.worker.printed()
        if isinstance(reply, Failed):
            self._pool.stop(contender)
            return rejected(self._plan, contender, problem, reply, printed)
        self._history.add(contender.name, problem, min(entry.samples), prepared.rise_bytes)
        warnings = list(dict.fromkeys(entry.warnings))
        if entry.busy_after_turn:
            warnings.append("its threads kept spinning after a turn, which may have slowed the others")
        if block is not None:
            warnings.append(f"memory did not suffice for all at once; measured in block {block + 1} with the baseline")
        return cell(
            self._plan,
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
            printed=printed,
        )
