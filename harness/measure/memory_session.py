"""The memory of a call, in a worker that does nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.measure import memory
from harness.measure.messages import MeasureMemory, MemoryMeasured
from harness.plugins.bound_call import BoundCall
from harness.plugins.session import ImplementationSession
from harness.records.cell import Memory
from harness.workers.messages import Request


class MemorySession(ImplementationSession):
    """Measures one problem after the other."""

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        return {MeasureMemory: self.measure}

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
        mark, method = self._watch(call)
        native = call.native_inputs
        del call
        ground = untouched + problem.input_bytes if keeps else min(mark.before, self._resident())
        del native
        workspace = max(0, mark.peak - ground - problem.output_bytes)
        return MemoryMeasured(Memory(problem.input_bytes + problem.output_bytes + workspace, workspace, method))

    def _watch(self, call: BoundCall) -> tuple[memory.Mark, str]:
        if self.framework.device == "cpu":
            return memory.watch(call.call_and_synchronize)[1], memory.method()
        before, _ = self.framework.device_memory()
        self.framework.reset_peak_memory()
        result = call.call_and_synchronize()
        _, peak = self.framework.device_memory()
        del result
        return memory.Mark(before, peak), f"{self.framework.modules[0]} device allocator"

    def _warm_allocator(self, request: MeasureMemory) -> None:
        operator = self.implementation.operator
        small = operator.small(request.problem)
        call = BoundCall(self.implementation, self.framework, small)
        call.bind(operator.inputs(small, request.seed))
        call.call_and_synchronize()

    def _resident(self) -> int:
        memory.trim()
        return memory.resident_bytes() if self.framework.device == "cpu" else self.framework.device_memory()[0]
