"""One problem measured by one process of each contender: as many at a time as memory allows, in rounds."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.errors import Status
from harness.measure.answers import Answers, judged, rows_of
from harness.measure.load import LoadMeter
from harness.measure.messages import Finish, Prepare, Prepared, Reveal, Sample, Sampled
from harness.measure.plan import Plan
from harness.measure.pool import WorkerPool
from harness.measure.predict import History
from harness.operators.answer import Expected
from harness.plugins.contender import Contender
from harness.records.accuracy import Accuracy
from harness.records.cell import Turn
from harness.workers.messages import Failed
from harness.workers.process import Worker

CLOCKS_APART_S = 0.25
"""How far a worker's clock and the parent's may disagree on a turn's length, beside a tenth of it: pipes, waking up."""


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


class Blocks:
    """Measures one problem. The contenders that are alive together are a block; the baseline takes part in every block."""

    def __init__(self, plan: Plan, pool: WorkerPool, history: History, draw: random.Random, doing: Callable[[str], None]):
        self._plan = plan
        self._pool = pool
        self._history = history
        self._draw = draw
        self._doing = doing

    def outcomes(self, waiting: list[Contender], answers: Answers, process: int) -> Iterator[Outcome]:
        """What comes of each of the contenders that wait, in its process of that number."""
        number = 0
        baseline: Entry | None = None
        waiting = list(waiting)
        while waiting:
            entries: list[Entry] = [baseline] if baseline else []
            while waiting and self._has_room(entries):
                prepared = self._prepare(waiting.pop(0), answers)
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

    def _has_room(self, entries: list[Entry]) -> bool:
        """Whether another worker may be alive beside these: always one more than the baseline, then while half is free.

        The next one's size is not known before it is there; a worker may grow to the size of the largest so far.
        """
        if len(entries) < 2:
            return True
        sizes = [entry.prepared.resident_bytes + entry.prepared.rise_bytes for entry in entries]
        return self._pool.has_room(sum(sizes) + max(sizes), {entry.contender.name for entry in entries})

    def _prepare(self, contender: Contender, answers: Answers) -> Entry | Outcome:
        plan, problem = self._plan, answers.problem
        self._doing(f"{problem.name}: {contender.name}")
        worker = self._pool.worker(contender)
        if isinstance(worker, Failed):
            return Outcome(contender, "", failed=worker)
        request = Prepare(problem, plan.seed, plan.effort.sample_s, plan.effort.warmup_s)
        reply = worker.ask(request, plan.timeout_s)
        found = reply if isinstance(reply, Failed) else self._verify(worker, answers, answers.first)
        if isinstance(found, Failed):
            printed = worker.printed()
            self._pool.stop(contender)  # A process that failed once is not asked again.
            if found.status is Status.TIMEOUT:
                self._history.add(contender.name, problem, plan.timeout_s, 0)
            return Outcome(contender, printed, failed=found)
        worker.pause()
        self._history.add(contender.name, problem, reply.call_s, reply.rise_bytes)
        verified_round = self._draw.randrange(plan.effort.rounds_for(reply.call_s))
        return Entry(contender, worker, reply, found, verified_round)

    def _verify(self, worker: Worker, answers: Answers, expected: Expected, when: str = "") -> Accuracy | Failed:
        """Compare the outputs that a worker keeps with what they should be."""
        revealed = worker.ask(Reveal(rows_of(expected)), self._plan.timeout_s)
        return revealed if isinstance(revealed, Failed) else judged(answers.operator, revealed, expected, when)

    def _rounds(self, answers: Answers, entries: list[Entry], block: tuple[int, int]) -> None:
        effort, (process, number) = self._plan.effort, block
        for round_number in range(effort.rounds):
            self._doing(f"{answers.problem.name}: process {process + 1}, round {round_number + 1}")
            taking = [e for e in entries if e.failed is None and effort.takes_part(e.prepared.call_s, round_number)]
            self._draw.shuffle(taking)
            meter = LoadMeter(entry.worker.pid for entry in entries)
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
        entry.turns.append(Turn(process, number, order, moment, entry.prepared.calls_per_sample, reply.samples_s))

    def _finish(self, entry: Entry, answers: Answers) -> Outcome:
        contender, prepared = entry.contender, entry.prepared
        reply = entry.failed or entry.worker.ask(Finish(), self._plan.timeout_s)
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
        )


def _clocks_apart(reply: Sampled, start_s: float, end_s: float) -> Failed | None:
    """Whether a worker's clock tells another length of a turn than the parent's."""
    passed_s, told_s = end_s - start_s, reply.end_s - reply.start_s
    if start_s <= reply.start_s <= reply.end_s <= end_s and passed_s - told_s <= 0.1 * passed_s + CLOCKS_APART_S:
        return None
    return Failed(Status.ERROR, f"its process's clock says that a turn took {told_s:.3g} s, and it took {passed_s:.3g} s")
