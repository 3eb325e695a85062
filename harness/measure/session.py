"""Measuring in a worker: one problem at a time is prepared, sampled in turns, and finished.

Nothing is judged here, where foreign code runs: outputs are handed to the parent, which knows what they should be.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import Status
from harness.measure import memory, timing
from harness.measure.fresh_call import FreshCall, Kept, KnownCall
from harness.measure.integrity import Integrity
from harness.measure.messages import (
    Finish,
    Finished,
    Observe,
    Prepare,
    Prepared,
    Rate,
    Rated,
    Rejected,
    Reveal,
    Revealed,
    Sample,
    Sampled,
)
from harness.measure.observation import observe
from harness.operators import checks
from harness.plugins.bound_call import BoundCall
from harness.plugins.session import ImplementationSession
from harness.records.execution import Execution
from harness.records.usage import Usage
from harness.workers.messages import Failed, Request


@dataclass(frozen=True)
class PreparedCall:
    """A call that has been warmed up."""

    target: FreshCall
    pace: timing.Pace
    usage: Usage | None = None
    """What all calls up to then were spent on, where the implementation tells."""


class MeasuringSession(ImplementationSession):
    """The problem that is being measured, if any."""

    prepared: PreparedCall | None = None
    kept: Kept | None = None
    calls = 0
    """Made in turns of the problem."""

    def __init__(self, *arguments: Any):
        self._integrity = Integrity()
        super().__init__(*arguments)
        gc.collect()
        gc.freeze()

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {
            Prepare: self.prepare,
            Sample: self.sample,
            Reveal: self.reveal,
            Finish: self.finish,
            Observe: self.observe,
            Rate: self.rate,
        }

    def prepare(self, request: Prepare) -> Prepared | Rejected:
        """Build, make the first call, warm up."""
        operator, problem = self.implementation.operator, request.problem
        bound = BoundCall(self.implementation, self.framework, problem)
        bound.bind(operator.inputs(problem, request.seed))
        (first_call_s, result), mark = memory.watch(lambda: _timed(bound.call_and_synchronize))
        self.kept = Kept.of(bound, result)
        # The implementation may hold the very arrays that were made, so they are made again to compare with.
        if changed := checks.changed_input(operator.inputs(problem, request.seed), bound.inputs_now()):
            return Rejected(Status.INCORRECT, changed)
        del result
        target = FreshCall(bound, operator, request.seed, request.cold)
        warm = timing.warm_up(target, request.sample_s, request.warmup_s)
        # Emptying the caches may take longer than the call, and makes a turn of fewer calls.
        apart_s = warm.call_s + (_timed(target.cool_down)[0] if request.cold else 0.0)
        pace = request.pace or timing.Pace(timing.calls_per_sample(apart_s, request.sample_s), apart_s)
        self.prepared, self.calls = PreparedCall(target, pace, bound.usage()), 0
        gc.collect()
        gc.freeze()  # A framework's hundred thousand objects need not be gone through before every turn.
        return Prepared(
            build_s=bound.build_s,
            first_call_s=first_call_s,
            warmup_calls=warm.calls,
            call_s=warm.call_s,
            pace=pace,
            resident_bytes=memory.resident_bytes(),
            rise_bytes=mark.peak - mark.before,
        )

    def sample(self, request: Sample) -> Sampled | Failed:
        """One turn of a round."""
        start_s = time.monotonic()
        target, pace = self._prepared().target, self._prepared().pace
        self.kept = None
        samples = pace.samples(request.turn_s)
        target.begin(request.seed, self._known(request, pace, samples))
        samples_s = timing.take_turn(target, pace, samples)
        self.calls += pace.calls * (samples + (samples > 1))
        self.kept = target.kept
        end_s = time.monotonic()
        if replaced := self._integrity.broken():
            return Failed(Status.ERROR, f"it replaced {replaced}, which measures it; no implementation may")
        return Sampled(samples_s, start_s, end_s)

    def reveal(self, request: Reveal) -> Revealed | Rejected:
        """The rows that are asked for, of the outputs that were kept."""
        kept, self.kept = self.kept, None
        if kept is None:
            raise RuntimeError("no outputs are kept")
        bound = self._prepared().target.bound
        if wrong := checks.wrong_form(bound.problem, kept.outputs):
            return Rejected(Status.INCORRECT, wrong)
        late = next((n for n, now in bound.outputs(kept.result).items() if now.tobytes() != kept.outputs[n].tobytes()), "")
        outputs = {
            name: output if (rows := request.rows[name]) is None else np.ascontiguousarray(output[..., rows, :])
            for name, output in kept.outputs.items()
        }
        return Revealed(outputs, late)

    def finish(self, request: Finish) -> Finished:
        """Drop the problem, unless it is to be observed."""
        settings, usage = self.framework.settings(), self._usage()
        if not request.observed:
            self._drop()
        return Finished(settings, usage)

    def observe(self, request: Observe) -> Execution:
        """Look at how calls run, and drop the problem."""
        found = observe(self._prepared().target.bound, self.implementation)
        self._drop()
        return found

    def _usage(self) -> Usage | None:
        """What a call of the turns was spent on."""
        before, now = self._prepared().usage, self._prepared().target.bound.usage()
        return now.since(before, self.calls) if before and now and self.calls else None

    def _drop(self) -> None:
        self.prepared = self.kept = None
        gc.unfreeze()
        memory.trim()
        gc.freeze()  # Else collecting garbage before the next problem goes through a framework's objects twice more.

    def rate(self, request: Rate) -> Rated:
        """The best of several large square matrix products."""
        return Rated(self.framework.matmul_rate(request.dtype))

    def _known(self, request: Sample, pace: timing.Pace, samples: int) -> KnownCall | None:
        """The call of the turn that is to be kept: any that is timed, drawn from the seed."""
        if request.known is None:
            return None
        calls = 1 if self._prepared().target.queued else pace.calls
        first = calls * pace.thrown_away(samples)
        return KnownCall(request.known, first + random.Random(request.seed).randrange(samples * calls))

    def _prepared(self) -> PreparedCall:
        if self.prepared is None:
            raise RuntimeError("Prepare comes before the other requests")
        return self.prepared


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result
