"""What the worker's own loop adds to a call: `pytest tests/benchmarks/test_bookkeeping.py -n 0`.

A thousand calls of nothing: the time shown in milliseconds is the cost a call in microseconds. Against a call of 1 ms,
one percent is 10 of those.
"""

import pytest

from harness.frameworks.numpy import NumPy
from harness.measure import timing

CALLS = 1000


@pytest.mark.benchmark(group="bookkeeping")
@pytest.mark.parametrize("queued", [False, True], ids=["waited-for", "queued"])
def test_a_thousand_calls_of_nothing(benchmark, queued):
    framework = NumPy("cpu", 1)

    class Nothing:
        def next_call(self):
            return int

        def wait(self, result):
            framework.synchronize(result)

        def finished(self, result):
            pass

    target = Nothing()
    target.queued = queued
    benchmark(timing.sample, target, CALLS)
