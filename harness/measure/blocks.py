"""One problem measured by one process of each contender: as many at a time as memory allows, in rounds."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from harness.errors import Status
from harness.measure.answers import Answers, judged, rows_of
from harness.measure.load import LoadMeter
from harness.measure.messages import Finish, Observe, Prepare, Prepared, Reveal, Sample, Sampled
from harness.measure.plan import Plan
from harness.measure.pool import WorkerPool
from harness.measure.predict import History
from harness.measure.timing import Pace
from harness.operators.answer import Expected
from harness.operators.problem import Problem
from harness.plugins.contender import Contender
from harness.records.accuracy import Accuracy
from harness.records.cell import Turn
from harness.records.execution import Execution
from harness.records.usage import Usage
from harness.workers.messages import Failed
from harness.workers.process import Worker
from harness.workers.processors import of_workers

CLOCKS_APART_S = 0.25
"""How far a worker's clock and the parent's may disagree on a turn's length, beside a tenth of it: pipes, waking up."""

_LONGEST_OBSERVED_S = 1.0
"""Of a call that takes longer it is not looked at how it runs, which takes some calls more."""


@dataclass
class Entry:
    """A contender that has been prepared for the current problem."""

    contender: Contender
    worker: Worker
    prepared: Prepared
    accuracy: Accuracy
    verified_round: int
    """The round of which a sample is verified."""
    turns: list[Turn] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failed: Failed | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one process of a contender."""

    contender: Contender
    printed: str
    failed: Failed | None = None
    prepared: Prepared | None = None
    accuracy: Accuracy | None = None
    turns: tuple[Turn, ...] = ()
    import_s: float = 0.0
    warnings: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    execution: Execution | None = None
    usage: Usage | None = None


class Blocks:
    """Measures one problem. The contenders that are alive together are a block; the baseline takes part in every block."""

    def __init__(self, plan: Plan, pool: WorkerPool, history: History, draw: random.Random, doing: Callable[[str], None]):
        self._plan = plan
        self._pool = pool
        self._history = history
        self._draw = draw
        self._doing = doing
        self._paces: dict[tuple[str, str], Pace] = {}
        """By contender and problem, as the first process found them."""

    def outcomes(self, waiting: list[Contender], answers: Answers, process: int) -> Iterator[Outcome]:
        """What comes of each of the contenders that wait, in its process of that number."""
        number = 0
        baseline: Entry | None = None
        waiting = list(waiting)
        while waiting:
            entries: list[Entry] = [baseline] if baseline else []
            while waiting and self._has_room(entries):
                some = [waiting.pop(0)]
                while waiting and self._side_by_side([*some, waiting[0]], answers.problem, entries):
                    some.append(waiting.pop(0))
                for prepared in self._prepare(some, answers):
                    if isinstance(prepared, Outcome):
                        yield prepared
                    else:
                        entries.append(prepared)
            self._rounds(answers, entries, (process, number))
            for entry in entries:
                if waiting and entry.failed is None and entry.contender.name == self._plan.baseline:
                    baseline = entry
                    continue
                if entry is baseline:
                    baseline = None
                if number or waiting:
                    said = (
                        f"blocks: memory did not suffice for all at once; measured in block {number + 1} with the baseline"
                    )
                    entry.warnings.append(said)
                yield self._finish(entry, answers)
                if waiting:
                    self._pool.stop(entry.contender)
            number += 1

    def _has_room(self, entries: list[Entry], more: int = 1) -> bool:
        """Whether other workers may be alive beside these: always one more than the baseline, then while half is free.

        The next one's size is not known before it is there; a worker may grow to the size of the largest so far.
        """
        if len(entries) + more <= 2:
            return True
        sizes = [entry.prepared.resident_bytes + entry.prepared.rise_bytes for entry in entries]
        return self._pool.has_room(sum(sizes) + more * max(sizes), {entry.contender.name for entry in entries})

    def _side_by_side(self, some: list[Contender], problem: Problem, entries: list[Entry]) -> bool:
        """Whether these may be prepared at the same time: what that takes was measured in an earlier process of each."""
        paced = all((contender.name, problem.name) in self._paces for contender in some)
        return paced and len(some) <= self._plan.threads and self._has_room(entries, len(some))

    def _prepare(self, some: list[Contender], answers: Answers) -> Iterator[Entry | Outcome]:
        """Have some build, make the first call and warm up, side by side."""
        self._doing(f"{answers.problem.name}: {', '.join(contender.name for contender in some)}")
        threads, asked = ThreadPoolExecutor(len(some)), []
        try:
            for contender in some:
                worker = self._pool.worker(contender)  # Not in one of the threads, with which it would end.
                if isinstance(worker, Failed):
                    yield Outcome(contender, "", failed=worker)
                else:
                    asked.append((contender, worker, threads.submit(self._ask_to_prepare, contender, worker, answers)))
            for contender, worker, answered in asked:
                yield self._prepared(contender, worker, answers.problem, *answered.result())
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _ask_to_prepare(self, contender: Contender, worker: Worker, answers: Answers) -> tuple[Any, Accuracy | Failed]:
        """The reply, and what comes of comparing the outputs of the first call."""
        plan, problem = self._plan, answers.problem
        pace = self._paces.get((contender.name, problem.name))
        request = Prepare(problem, plan.seed, plan.effort.sample_s, plan.effort.warmup_s, plan.is_cold(problem), pace)
        reply = worker.ask(request, plan.timeout_s)
        return reply, reply if isinstance(reply, Failed) else self._verify(worker, answers, answers.first)

    def _prepared(
        self, contender: Contender, worker: Worker, problem: Problem, reply: Any, found: Accuracy | Failed
    ) -> Entry | Outcome:
        """The contender, ready for its turns, or why it is not."""
        plan = self._plan
        if isinstance(found, Failed):
            printed = worker.printed()
            self._pool.stop(contender)  # A process that failed once is not asked again.
            if found.status is Status.TIMEOUT:
                self._history.add(contender.name, problem, plan.timeout_s, 0)
            return Outcome(contender, printed, failed=found)
        worker.pause()
        self._paces.setdefault((contender.name, problem.name), reply.pace)
        self._history.add(contender.name, problem, reply.call_s, reply.rise_bytes)
        verified_round = self._draw.randrange(plan.effort.rounds_for(reply.pace.call_s))
        return Entry(contender, worker, reply, found, verified_round)

    def _verify(self, worker: Worker, answers: Answers, expected: Expected, when: str = "") -> Accuracy | Failed:
        """Compare the outputs that a worker keeps with what they should be."""
        revealed = worker.ask(Reveal(rows_of(expected)), self._plan.timeout_s)
        return revealed if isinstance(revealed, Failed) else judged(answers.operator, revealed, expected, when)

    def _rounds(self, answers: Answers, entries: list[Entry], block: tuple[int, int]) -> None:
        effort, (process, number) = self._plan.effort, block
        for round_number in range(effort.rounds):
            self._doing(f"{answers.problem.name}: process {process + 1}, round {round_number + 1}")
            taking = [e for e in entries if e.failed is None and effort.takes_part(e.prepared.pace.call_s, round_number)]
            self._draw.shuffle(taking)
            meter = LoadMeter((entry.worker.pid for entry in entries), of_workers(self._plan.threads))
            for order, entry in enumerate(taking):
                self._turn(entry, answers, (process, number * effort.rounds + round_number, order))
            if disturbed := meter.disturbed():
                for entry in taking:
                    if entry.failed is None:
                        entry.turns[-1] = dataclasses.replace(entry.turns[-1], disturbed=disturbed)

    def _turn(self, entry: Entry, answers: Answers, place: tuple[int, int, int]) -> None:
        """One turn, alone on the machine; of one turn in each process an output is verified."""
        process, number, order = place
        verified = len([turn for turn in entry.turns if turn.process == process]) == entry.verified_round
        known = answers.known.seed if verified else None
        request = Sample(self._plan.effort.turn_s, self._draw.getrandbits(32), known)
        start_s, moment = time.monotonic(), time.time()
        reply = entry.worker.ask(request, self._plan.timeout_s)
        found: Any = _clocks_apart(reply, start_s, time.monotonic()) if isinstance(reply, Sampled) else reply
        if verified and found is None:
            when = "correct at first, but not while it was timed: "
            found = self._verify(entry.worker, answers, answers.known.expected, when)
            if isinstance(found, Accuracy):
                entry.accuracy = max(entry.accuracy, found, key=lambda a: a.error_over_bound)
        entry.worker.pause()
        if isinstance(found, Failed):
            entry.failed = found
            return
        entry.turns.append(Turn(process, number, order, moment, entry.prepared.pace.calls, reply.samples_s))

    def _finish(self, entry: Entry, answers: Answers) -> Outcome:
        contender, prepared = entry.contender, entry.prepared
        observed = self._is_observed(entry)
        reply = entry.failed or entry.worker.ask(Finish(observed), self._plan.timeout_s)
        printed = entry.worker.printed()
        if isinstance(reply, Failed):
            self._pool.stop(contender)
            return Outcome(contender, printed, failed=reply)
        samples_s = [sample_s for turn in entry.turns for sample_s in turn.samples_s]
        self._history.add(contender.name, answers.problem, min(samples_s), prepared.rise_bytes)
        return Outcome(
            contender,
            printed,
            prepared=prepared,
            accuracy=entry.accuracy,
            turns=tuple(entry.turns),
            import_s=entry.worker.opening_s,
            warnings=tuple(dict.fromkeys(entry.warnings)),
            settings=reply.settings,
            execution=self._observe(entry) if observed else None,
            usage=reply.usage,
        )

    def _is_observed(self, entry: Entry) -> bool:
        """In its first process, unless a call is long: looking takes some."""
        first = all(turn.process == 0 for turn in entry.turns)
        return first and entry.prepared.call_s < _LONGEST_OBSERVED_S

    def _observe(self, entry: Entry) -> Execution | None:
        """How its calls ran. What was measured stands, whatever becomes of the worker."""
        found = entry.worker.ask(Observe(), self._plan.timeout_s)
        entry.worker.printed()  # What profilers print is no output of the implementation's, nor of its next problem's.
        if isinstance(found, Failed):
            self._pool.stop(entry.contender)
            return None
        return found


def _clocks_apart(reply: Sampled, start_s: float, end_s: float) -> Failed | None:
    """Whether a worker's clock tells another length of a turn than the parent's."""
    passed_s, told_s = end_s - start_s, reply.end_s - reply.start_s
    if start_s <= reply.start_s <= reply.end_s <= end_s and passed_s - told_s <= 0.1 * passed_s + CLOCKS_APART_S:
        return None
    return Failed(Status.ERROR, f"its process's clock says that a turn took {told_s:.3g} s, and it took {passed_s:.3g} s")
