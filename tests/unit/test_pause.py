"""A paused worker uses no processor at all, whatever its threads do, and goes on when it is asked."""

import threading
import time
from dataclasses import dataclass

from harness.workers.messages import Failed, Request, Start
from harness.workers.process import Worker, process_clock


@dataclass(frozen=True)
class Count(Request):
    """How often its thread has gone round."""


class Spins:
    """A session whose thread never rests, as those of some pools."""

    ready = None

    def __init__(self):
        self.rounds = 0
        threading.Thread(target=self.spin, daemon=True).start()

    def spin(self):
        while True:
            self.rounds += 1

    @property
    def handlers(self):
        return {Count: lambda request: self.rounds}


def used_s(worker):
    return time.clock_gettime(process_clock(worker.pid))


def test_a_paused_worker_stands_still_and_goes_on_when_it_is_asked():
    with Worker(Start("tests.unit.test_pause:Spins", (), 1, 0), {}, 60.0) as worker:
        first = worker.ask(Count(), 60.0)
        assert not isinstance(first, Failed), first
        worker.pause()
        before = used_s(worker)
        time.sleep(0.2)
        assert used_s(worker) == before
        until = time.monotonic() + 60.0
        while worker.ask(Count(), 60.0) <= first:  # Its threads have turns of milliseconds.
            assert time.monotonic() < until
        worker.pause()
        started = time.monotonic()
    assert time.monotonic() - started < 10, "a paused worker could not be closed"
