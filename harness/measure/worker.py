"""The child process: one implementation, alone with its framework, answering the manager's requests.

Started as `python -m harness.measure.worker FD` with the environment already set. What the implementation prints goes to
the log that the manager opened as standard output; answers go through the socket FD.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.conformance.verdict import judge
from harness.errors import Status, Unavailable, describe
from harness.frameworks import Framework, adapter
from harness.measure import memory, timing
from harness.measure.messages import (
    Check,
    Checked,
    Failed,
    Finish,
    Finished,
    Prepare,
    Prepared,
    Probe,
    Probed,
    Rate,
    Rated,
    Ready,
    Reply,
    Request,
    Sample,
    Sampled,
    Solve,
    Solved,
    Start,
    Weigh,
    Weighed,
)
from harness.operators import checks
from harness.operators.answer import Expected, load
from harness.operators.attention import conventions
from harness.operators.attention.inputs import make_inputs
from harness.plugins.bound_call import Solver
from harness.plugins.implementation import Implementation
from harness.plugins.registry import find
from harness.records.accuracy import Accuracy
from harness.records.cell import Memory

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answer requests until the manager hangs up."""
    _die_with_parent()
    connection = Connection(int(sys.argv[1]))
    try:
        start = connection.recv()
        session = Session(start)
        connection.send(session.ready)
        while True:
            connection.send(session.answer(connection.recv()))
    except EOFError:
        return
    except Exception as error:  # Loading failed; whatever it was, the manager gets it in words.
        connection.send(failure(error))


class Session:
    """An implementation loaded in this process, and the problem it is at."""

    def __init__(self, start: Start):
        _restrict(start)
        self.implementation: Implementation = find(start.origin, start.implementation)
        self.framework: Framework = adapter(self.implementation.framework)(start.device, start.threads)
        self.ready = Ready(self.framework.settings())
        self._solver: Solver | None = None
        self._expected: Expected = {}
        self._last: Any = None
        self._pace: Prepared | None = None

    def answer(self, request: Request) -> Reply:
        """The reply to a request; whatever goes wrong becomes a `Failed`."""
        handlers = {
            Prepare: self.prepare,
            Sample: self.sample,
            Finish: self.finish,
            Weigh: self.weigh,
            Rate: self.rate,
            Check: self.check,
            Solve: self.solve,
            Probe: self.probe,
        }
        try:
            return handlers[type(request)](request)  # type: ignore[operator]
        except Exception as error:  # A plug-in may raise anything.
            return failure(error)

    def prepare(self, request: Prepare) -> Reply:
        """Build, make the first call, verify it on this very problem, warm up."""
        inputs = make_inputs(request.problem, request.seed)
        solver = Solver(self.implementation, self.framework, request.problem)
        solver.bind(inputs)
        (first_call_s, result), mark = memory.watch(lambda: _timed(solver.finished_call))
        self._solver, self._expected = solver, load(Path(request.expected))
        # The implementation may hold the very arrays that were made, so they are made again to compare with.
        pristine = make_inputs(request.problem, request.seed)
        wrong = self._verify(result) or _failed(checks.changed_input(pristine, solver.inputs_now()))
        del pristine
        del inputs, result
        if wrong:
            return wrong
        assert self._accuracy is not None
        warm = timing.warm_up(
            solver.call, self.framework.synchronize, request.sample_s, request.warmup_s, self.framework.asynchronous
        )
        self._pace = Prepared(
            accuracy=self._accuracy,
            build_s=solver.build_s,
            first_call_s=first_call_s,
            warmup_calls=warm.calls,
            call_s=warm.call_s,
            calls_per_sample=timing.calls_per_sample(warm.call_s, request.sample_s),
            resident_bytes=memory.resident_bytes(),
            rise_bytes=mark.peak - mark.before,
        )
        return self._pace

    def sample(self, request: Sample) -> Reply:
        """One turn of a round."""
        assert self._solver is not None and self._pace is not None
        samples = timing.take_turn(
            self._solver.call,
            self.framework.synchronize,
            self._pace.calls_per_sample,
            self._pace.call_s,
            request.turn_s,
            self.framework.asynchronous,
        )
        return Sampled(samples)

    def finish(self, request: Finish) -> Reply:
        """Verify once more, since some implementations go wrong only after many calls, and drop the problem."""
        assert self._solver is not None
        wrong = self._verify(self._solver.finished_call())
        self._solver, self._expected, self._pace = None, {}, None
        memory.trim()
        if isinstance(wrong, Failed):
            return Failed(wrong.status, f"correct at first, but not after it was timed: {wrong.reason}", wrong.accuracy)
        assert self._accuracy is not None
        return Finished(self._accuracy, self.framework.settings())

    def weigh(self, request: Weigh) -> Reply:
        """Memory of the second call, against what remains resident when the callable has been dropped.

        Where the allocator keeps what it once had, the first call's share is in its pool by then, and so is what converting
        the inputs left there. The ground is then the process before either; a miniature of the problem has gone before, to
        load what the framework loads late.
        """
        keeps = self.framework.keeps_memory(self.framework.device)
        if keeps:
            self._rehearse(request)
        inputs = make_inputs(request.problem, request.seed)
        solver = Solver(self.implementation, self.framework, request.problem)
        untouched = self._resident() if keeps else 0
        solver.bind(inputs)
        solver.finished_call()
        mark, method = self._watch(solver)
        native = solver.native_inputs
        del solver
        ground = untouched + request.problem.input_bytes if keeps else min(mark.before, self._resident())
        del native
        workspace = max(0, mark.peak - ground - request.problem.output_bytes)
        total = request.problem.input_bytes + request.problem.output_bytes + workspace
        return Weighed(Memory(total, workspace, method))

    def _watch(self, solver: Solver) -> tuple[memory.Mark, str]:
        if self.framework.device == "cpu":
            return memory.watch(solver.finished_call)[1], memory.method()
        before, _ = self.framework.device_memory()
        self.framework.reset_peak_memory()
        result = solver.finished_call()
        _, peak = self.framework.device_memory()
        del result
        return memory.Mark(before, peak), f"{self.framework.modules[0]} device allocator"

    def _rehearse(self, request: Weigh) -> None:
        problem = request.problem
        small = problem.replace(batch=1, q_len=min(problem.q_len, 16), kv_len=min(problem.kv_len, 16))
        solver = Solver(self.implementation, self.framework, small)
        solver.bind(make_inputs(small, request.seed))
        solver.finished_call()

    def _resident(self) -> int:
        memory.trim()
        return memory.resident_bytes() if self.framework.device == "cpu" else self.framework.device_memory()[0]

    def rate(self, request: Rate) -> Reply:
        """The best of several large square matrix products."""
        return Rated(self.framework.matmul_rate(request.dtype))

    def check(self, request: Check) -> Reply:
        """One conformance case."""
        return Checked(judge(request.case, self.implementation, self.framework))

    def solve(self, request: Solve) -> Reply:
        """The outputs for given arrays."""
        solver = Solver(self.implementation, self.framework, request.problem)
        solver.bind(request.inputs)
        return Solved(solver.outputs(solver.finished_call()))

    def probe(self, request: Probe) -> Reply:
        """What it really does, and what the library call behind it does."""
        mine = conventions.of_implementation(self.implementation, self.framework)
        bare = self.implementation.library_call
        return Probed(mine, conventions.of_library_call(self.implementation, self.framework) if bare else None)

    def _verify(self, result: Any) -> Failed | None:
        """Compare a result with the oracle; the accuracy is kept for the record."""
        assert self._solver is not None
        outputs = self._solver.outputs(result)
        wrong = checks.wrong_form(self._solver.problem, outputs)
        if wrong:
            return Failed(Status.INCORRECT, wrong)
        self._accuracy: Accuracy | None = checks.accuracy(outputs, self._expected)
        if not self._accuracy.correct:
            return Failed(Status.INCORRECT, checks.finding(self._accuracy), self._accuracy)
        return None


def failure(error: BaseException) -> Failed:
    """An exception as a status and a sentence."""
    if isinstance(error, Unavailable):
        return Failed(Status.UNAVAILABLE, str(error))
    if isinstance(error, MemoryError) or memory.OUT_OF_MEMORY.search(str(error)):
        return Failed(Status.OUT_OF_MEMORY, describe(error))
    return Failed(Status.ERROR, describe(error))


def _failed(reason: str | None) -> Failed | None:
    return Failed(Status.INCORRECT, reason) if reason else None


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _restrict(start: Start) -> None:
    """Keep to the cores and the memory that were given, and be the first that the kernel ends when memory runs out."""
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[: start.threads])
    if start.memory_bytes and start.device == "cpu":
        # Private writable memory (getrlimit(2), Linux 4.7): address space that is only reserved does not count.
        resource.setrlimit(resource.RLIMIT_DATA, (start.memory_bytes, start.memory_bytes))
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        pass


def _die_with_parent() -> None:
    """Have the kernel end this process when the manager dies, even inside an endless native loop (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
