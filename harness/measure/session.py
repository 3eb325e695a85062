"""Measuring in a worker: one problem at a time is prepared, sampled in turns, and finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import Status
from harness.measure import memory, timing
from harness.measure.messages import (
    Finish,
    Finished,
    Prepare,
    Prepared,
    Rate,
    Rated,
    Rejected,
    Sample,
    Sampled,
)
from harness.operators import checks
from harness.operators.answer import Expected, load
from harness.plugins.bound_call import BoundCall
from harness.plugins.session import ImplementationSession
from harness.records.accuracy import Accuracy
from harness.workers.messages import Request


@dataclass(frozen=True)
class PreparedCall:
    """A call that has been verified and warmed up."""

    call: BoundCall
    expected: Expected
    pace: Prepared


class MeasuringSession(ImplementationSession):
    """The problem that is being measured, if any."""

    prepared: PreparedCall | None = None
    last: Any = None
    """The output of the last call that was timed."""

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {Prepare: self.prepare, Sample: self.sample, Finish: self.finish, Rate: self.rate}

    def prepare(self, request: Prepare) -> Prepared | Rejected:
        """Build, make the first call, verify it on this very problem, warm up."""
        operator = self.implementation.operator
        inputs = operator.inputs(request.problem, request.seed)
        call = BoundCall(self.implementation, self.framework, request.problem)
        call.bind(inputs)
        (first_call_s, result), mark = memory.watch(lambda: _timed(call.call_and_synchronize))
        expected = load(Path(request.expected))
        # The implementation may hold the very arrays that were made, so they are made again to compare with.
        pristine = operator.inputs(request.problem, request.seed)
        accuracy = self._verified(call, result, expected)
        if isinstance(accuracy, Rejected):
            return accuracy
        if changed := checks.changed_input(pristine, call.inputs_now()):
            return Rejected(Status.INCORRECT, changed)
        del pristine, inputs, result
        warm = timing.warm_up(
            call.call, self.framework.synchronize, request.sample_s, request.warmup_s, self.framework.asynchronous
        )
        pace = Prepared(
            accuracy=accuracy,
            build_s=call.build_s,
            first_call_s=first_call_s,
            warmup_calls=warm.calls,
            call_s=warm.call_s,
            calls_per_sample=timing.calls_per_sample(warm.call_s, request.sample_s),
            resident_bytes=memory.resident_bytes(),
            rise_bytes=mark.peak - mark.before,
        )
        self.prepared = PreparedCall(call, expected, pace)
        return pace

    def sample(self, request: Sample) -> Sampled:
        """One turn of a round."""
        prepared = self._prepared()
        self.last = None
        turn = timing.take_turn(
            prepared.call.call,
            self.framework.synchronize,
            timing.Pace(prepared.pace.calls_per_sample, prepared.pace.call_s, self.framework.asynchronous),
            request.turn_s,
        )
        self.last = turn.result
        return Sampled(turn.samples_s)

    def finish(self, request: Finish) -> Finished | Rejected:
        """Verify what was timed, since an implementation may go wrong after many calls, and drop the problem."""
        prepared = self._prepared()
        accuracy = self._verified(prepared.call, self.last, prepared.expected)
        self.prepared = self.last = None
        del prepared
        memory.trim()
        if isinstance(accuracy, Rejected):
            reason = f"correct at first, but not after it was timed: {accuracy.reason}"
            return Rejected(accuracy.status, reason, accuracy.accuracy)
        return Finished(accuracy, self.framework.settings())

    def rate(self, request: Rate) -> Rated:
        """The best of several large square matrix products."""
        return Rated(self.framework.matmul_rate(request.dtype))

    def _prepared(self) -> PreparedCall:
        if self.prepared is None:
            raise RuntimeError("Prepare comes before Sample and Finish")
        return self.prepared

    def _verified(self, call: BoundCall, result: Any, expected: Expected) -> Accuracy | Rejected:
        """Compare a result with the oracle."""
        outputs = call.outputs(result)
        if wrong := checks.wrong_form(call.problem, outputs):
            return Rejected(Status.INCORRECT, wrong)
        accuracy = checks.accuracy(outputs, expected)
        if accuracy.correct:
            return accuracy
        return Rejected(Status.INCORRECT, checks.finding(accuracy, self.implementation.operator.exactly), accuracy)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result
