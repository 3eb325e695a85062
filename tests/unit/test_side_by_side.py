"""Later processes are prepared side by side, at the pace that the first has found. Workers are sessions in this process."""

import os
import threading

import pytest

from harness.measure.manager import Manager
from harness.measure.messages import Prepare
from harness.measure.plan import Effort
from harness.measure.session import MeasuringSession
from harness.plugins.contender import contenders
from harness.plugins.registry import discover
from harness.problem import Problem
from harness.workers.messages import Ready
from tests.unit import factories

PROBLEM = Problem(q_heads=1, q_len=8, head_dim=4)
NAMES = ["numpy", "numpy-online"]
PATIENCE_S = 30
EFFORT = Effort(
    processes=2, min_processes=2, precision=1e-9, rounds=2, turn_s=0.002, sample_s=0.001, warmup_s=0.002, limits=False
)


class Scene:
    """The workers of a run, and how many were being prepared at a time."""

    def __init__(self, meeting=None):
        self.paces, self.most = [], 0
        self._meeting, self._lock, self._preparing = meeting, threading.Lock(), 0

    def launch(self, start, variables, timeout_s):
        return InProcess(self, start)

    def prepare(self, session, request):
        with self._lock:
            self.paces.append((session.implementation.name, request.pace))
            self._preparing += 1
            self.most = max(self.most, self._preparing)
        if request.pace and self._meeting:
            self._meeting.wait(PATIENCE_S)  # Broken, and an error, unless both are there.
        reply = session.prepare(request)
        with self._lock:
            self._preparing -= 1
        return reply


class InProcess:
    """A worker that is none."""

    alive, opening_s, pid = True, 0.1, os.getpid()

    def __init__(self, scene, start):
        self._scene, self._session = scene, MeasuringSession(*start.arguments)

    def ask(self, request, timeout_s):
        if isinstance(request, Prepare):
            return self._scene.prepare(self._session, request)
        return self._session.handlers[type(request)](request)

    def wait_until_ready(self):
        return Ready({}, self.opening_s)

    def printed(self):
        return ""

    def resident_bytes(self):
        return 0

    def pause(self):
        pass

    kill = close = pause


def measured(scene, threads):
    registry = discover().of("attention")
    chosen = tuple(contenders(registry, NAMES, "cpu"))
    plan = factories.plan(problems=(PROBLEM,), effort=EFFORT, contenders=chosen, threads=threads)
    return {cell.key: cell for cell in Manager(plan, registry.implementations, launcher=scene.launch).cells([])}


def test_later_processes_are_prepared_two_at_a_time_at_the_first_ones_pace():
    scene = Scene(threading.Barrier(2))
    cells = measured(scene, threads=2)
    assert [len(cell.timing.processes) for cell in cells.values()] == [2, 2]
    assert [name for name, pace in scene.paces if pace is None] == NAMES
    assert scene.most == 2
    for cell in cells.values():
        assert {turn.calls for turn in cell.timing.turns} == {
            pace.calls for name, pace in scene.paces if name == cell.implementation and pace
        }


def test_the_first_process_is_prepared_alone():
    scene = Scene()
    measured(scene, threads=1)
    assert scene.most == 1


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]])
def test_the_order_of_implementations_is_that_of_the_plan(names):
    """Turns are shuffled: whoever is named first is not measured first in every round."""
    registry = discover().of("attention")
    chosen = tuple(contenders(registry, names, "cpu"))
    effort = Effort(processes=1, rounds=40, min_rounds=40, turn_s=0.001, sample_s=0.001, warmup_s=0.001, limits=False)
    plan = factories.plan(problems=(PROBLEM,), effort=effort, contenders=chosen, threads=1)
    cells = {
        cell.implementation: cell for cell in Manager(plan, registry.implementations, launcher=Scene().launch).cells([])
    }
    for cell in cells.values():
        assert {turn.order for turn in cell.timing.turns} == {0, 1}
