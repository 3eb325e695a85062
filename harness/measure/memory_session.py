"""The memory of a call, in a worker that does nothing else."""

from __future__ import annotations

import gc
import mmap
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from harness.measure import memory, tracer
from harness.measure.allocations import LiveMemory, Traced, refined
from harness.measure.messages import MeasureMemory, MemoryMeasured, TraceMemory
from harness.plugins.bound_call import BoundCall
from harness.plugins.session import ImplementationSession
from harness.records.cell import Memory
from harness.workers.messages import Request

_UNTRACED, _TRACED = 2, 5
"""Calls until the state is steady, and calls that are traced then. ONNX Runtime plans its memory in the first call, and
allocates by that plan in the second."""

LONGEST_TRACED_S = 0.5
"""A call that takes longer is not traced: it would be called six times more."""

_MOST_RECORDED = 2**21
"""Bytes of a recording that is read: a million allocations take two seconds and more. The mark stands where a call makes
more of them."""

_ENOUGH_S = 1.0
"""No further call is traced when those before took as long."""


class _Buffer(NamedTuple):
    """Memory that a callable keeps, in bytes; `touched` is how much of it is in use."""

    address: int
    size: int
    touched: int


class MemorySession(ImplementationSession):
    """Measures one problem after the other."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        gc.collect()
        gc.freeze()  # Garbage is collected often, and a framework has a hundred thousand objects that are none.

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {MeasureMemory: self.measure, TraceMemory: self.trace}

    def measure(self, request: MeasureMemory) -> MemoryMeasured:
        """Memory of the second call, against what remains resident when the callable has been dropped.

        Where the allocator keeps what it once had, the first call's share is in its pool by then, and so is what converting
        the inputs left there. The ground is then the process before either; a miniature of the problem has gone before, to
        load what the framework loads late.
        """
        problem = request.problem
        keeps = self.framework.keeps_memory(self.framework.device)
        if keeps:
            self._warm_allocator(request)
        inputs = self.implementation.operator.inputs(problem, request.seed)
        call = BoundCall(self.implementation, self.framework, problem)
        untouched = self._resident() if keeps else 0
        call.bind(inputs)
        call.call_and_synchronize()
        start = time.perf_counter()
        mark, method, step = self._watch(call)
        call_s = time.perf_counter() - start
        python_bytes = tracer.python_peak(call.call_and_synchronize) if call_s < LONGEST_TRACED_S else 0
        inputs_of_the_call = call.given, call.native_inputs
        del call
        ground = untouched + problem.input_bytes if keeps else min(mark.before, self._resident())
        del inputs_of_the_call
        workspace = max(0, mark.peak - ground - problem.output_bytes)
        found = Memory(problem.input_bytes + problem.output_bytes + workspace, workspace, method, step)
        return MemoryMeasured(found, mark.peak - mark.before, call_s, python_bytes)

    def trace(self, request: TraceMemory) -> MemoryMeasured:
        """The same by a trace of allocations, from before the callable is built until it has been dropped."""
        problem, marked = request.problem, request.marked
        inputs = self.implementation.operator.inputs(problem, request.seed)
        life, end = tracer.Recording(), tracer.Recording()
        try:
            with life:
                call = BoundCall(self.implementation, self.framework, problem)
                call.bind(inputs)
                for _ in range(_UNTRACED):
                    call.call_and_synchronize()
                    if life.size > _MOST_RECORDED:
                        return marked
                self._trace_calls(life, call)
            python = tracer.python_peak(call.call_and_synchronize)
            recorded = life.live_memory()
            kept = self._buffers(recorded)
            inputs_of_the_call = call.given, call.native_inputs
            tracer.quiet()
            with end:
                del call
                tracer.quiet()
            freed = end.freed()
        finally:
            life.close()
            end.close()
        del inputs_of_the_call
        buffers = [buffer for buffer in kept if buffer.address in freed]
        partly = any(buffer.touched < buffer.size for buffer in buffers)
        traced = Traced(
            life.peaks(recorded), python, sum(buffer.touched for buffer in buffers), mmap.PAGESIZE if partly else 1
        )
        found = refined(marked.memory, marked.rise_bytes, traced, problem.output_bytes)
        return MemoryMeasured(found, marked.rise_bytes, marked.call_s)

    def _trace_calls(self, life: tracer.Recording, call: BoundCall) -> None:
        tracer.quiet()
        start = time.perf_counter()
        for _ in range(_TRACED):
            life.call(call.call_and_synchronize)
            if time.perf_counter() - start > _ENOUGH_S:
                break

    def _buffers(self, recorded: LiveMemory) -> list[_Buffer]:
        """Of what is kept between calls, what may be a buffer."""
        is_code = tracer.executable()
        return [
            _Buffer(address, size, tracer.touched_bytes(address, size))
            for address, size in recorded.kept.items()
            if size >= self.framework.smallest_buffer and not is_code(address)
        ]

    def _watch(self, call: BoundCall) -> tuple[memory.Mark, str, int]:
        if self.framework.device == "cpu":
            return memory.watch(call.call_and_synchronize)[1], memory.method(), memory.step_bytes()
        before, _ = self.framework.device_memory()
        self.framework.reset_peak_memory()
        result = call.call_and_synchronize()
        _, peak = self.framework.device_memory()
        del result
        return memory.Mark(before, peak), f"{self.framework.modules[0]} device allocator", memory.DEVICE_STEP

    def _warm_allocator(self, request: MeasureMemory) -> None:
        operator = self.implementation.operator
        small = operator.small(request.problem)
        call = BoundCall(self.implementation, self.framework, small)
        call.bind(operator.inputs(small, request.seed))
        call.call_and_synchronize()

    def _resident(self) -> int:
        memory.trim()
        return memory.resident_bytes() if self.framework.device == "cpu" else self.framework.device_memory()[0]
