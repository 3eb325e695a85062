"""When memory is traced, and what stands when the trace fails. The workers are played by the test."""

import dataclasses

import pytest

from harness.errors import Status
from harness.measure import tracer
from harness.measure.memory_pass import MemoryPass
from harness.measure.memory_session import LONGEST_TRACED_S
from harness.measure.messages import MeasureMemory, MemoryMeasured, TraceMemory
from harness.plugins.contender import Contender
from harness.plugins.origin import BUILT_IN
from harness.records.cell import Memory
from harness.workers.messages import Failed
from tests.unit.factories import OTHER_PROBLEM, PROBLEM, measured, plan

MARKED = MemoryMeasured(Memory(9000, 5000, "mark", 2**19), rise_bytes=6000, call_s=0.1)
LARGE = MemoryMeasured(Memory(51 * 2**19, 50 * 2**19, "mark", 2**19), rise_bytes=50 * 2**19, call_s=0.1)
TRACED = MemoryMeasured(Memory(8000, 4000, "trace", 1024), rise_bytes=6000, call_s=0.1)
CRASHED = Failed(Status.CRASHED, "killed by SIGSEGV")


class Scene:
    """The workers that are started, each a list of what it is asked, and what they answer."""

    def __init__(self, monkeypatch, marked=MARKED, traced=TRACED, memray=True):
        self.answers = {MeasureMemory: marked, TraceMemory: traced}
        self.workers, self.variables = [], []
        monkeypatch.setattr(tracer, "available", lambda: memray)

    def launch(self, start, variables, timeout_s):
        self.variables.append(variables)
        self.workers.append(Player(self.answers))
        return self.workers[-1]

    def memories(self, device="cpu", framework="numpy", problems=(PROBLEM,)):
        contender = Contender("a", framework, device, BUILT_IN)
        cells = [measured("a", 1e-3, problem=problem) for problem in problems]
        found = MemoryPass(plan(problems=problems, contenders=(contender,)), cells, self.launch).memories()
        return [memory for _, memory in found]


class Player:
    def __init__(self, answers):
        self.answers, self.asked, self.alive = answers, [], True

    def ask(self, request, timeout_s):
        self.asked.append(type(request))
        answer = self.answers[type(request)]
        self.alive = answer is not CRASHED
        return answer

    def close(self):
        self.alive = False


def test_the_trace_follows_the_mark_in_the_same_process(monkeypatch):
    scene = Scene(monkeypatch)
    assert scene.memories() == [TRACED.memory]
    assert [worker.asked for worker in scene.workers] == [[MeasureMemory, TraceMemory]]


def test_objects_of_python_stay_resident_and_are_traced(monkeypatch):
    marked = dataclasses.replace(LARGE, python_bytes=2**20)
    scene = Scene(monkeypatch, marked=marked)
    assert scene.memories() == [TRACED.memory]


@pytest.mark.parametrize(
    "played, device",
    [
        ({"memray": False}, "cpu"),
        ({"marked": MemoryMeasured(MARKED.memory, 6000, LONGEST_TRACED_S + 1)}, "cpu"),
        ({}, "cuda"),
        ({"marked": LARGE}, "cpu"),
    ],
    ids=["no memray", "a long call", "a GPU", "known to two percent"],
)
def test_the_mark_alone(monkeypatch, played, device):
    scene = Scene(monkeypatch, **played)
    assert scene.memories(device) == [played.get("marked", MARKED).memory]
    assert [worker.asked for worker in scene.workers] == [[MeasureMemory]]


def test_a_trace_that_kills_the_process_costs_nothing_else(monkeypatch):
    scene = Scene(monkeypatch, traced=CRASHED)
    assert scene.memories(problems=(PROBLEM, OTHER_PROBLEM)) == [MARKED.memory] * 2
    assert len(scene.workers) == 2


def test_a_mark_that_fails_is_not_traced(monkeypatch):
    scene = Scene(monkeypatch, marked=CRASHED)
    assert scene.memories() == [CRASHED]
    assert scene.workers[0].asked == [MeasureMemory]


def test_the_allocators_give_back_what_is_freed(monkeypatch):
    scene = Scene(monkeypatch)
    scene.memories(framework="tensorflow", problems=(PROBLEM, OTHER_PROBLEM))
    assert len(scene.workers) == 1  # No pool hides what the second problem takes.
    assert scene.variables[0]["TF_ONEDNN_USE_SYSTEM_ALLOCATOR"] == "true"
    assert scene.variables[0]["MALLOC_MMAP_THRESHOLD_"] == "65536"
