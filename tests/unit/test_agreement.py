"""The timer beside pyperf and pytest-benchmark, on work whose length is known: 1 ms by a clock that all three are given.

How they compare on kernels and by the clock of the machine is in docs/measuring.md.
"""

import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from harness.analysis.estimates import Estimates
from harness.measure import timing
from harness.records.cell import Timing, Turn
from tests.unit.factories import BESIDE
from tests.unit.virtual_clock import VirtualClock

ROOT = Path(__file__).parents[2]

PYPERF = """
import pyperf
from tests.unit.virtual_clock import CLOCK

def timed(loops):
    start = CLOCK()
    for _ in range(loops):
        CLOCK.work()
    return CLOCK() - start

pyperf.Runner().bench_time_func("work", timed)
"""

PYTEST_BENCHMARK = """
import pytest
from tests.unit.virtual_clock import CLOCK

@pytest.mark.benchmark(timer=CLOCK, max_time=0.5)
def test_work(benchmark):
    benchmark(CLOCK.work)
"""


class Work:
    """What is timed."""

    queued = False

    def __init__(self, clock):
        self._clock = clock

    def next_call(self):
        self._clock.work()  # Other values, outside the clock.
        return self._clock.work

    def wait(self, result):
        pass

    def finished(self, result):
        pass


def ours(monkeypatch):
    """(low, high) by the timer of the harness, in one process."""
    clock = VirtualClock(2)
    monkeypatch.setattr(timing.time, "perf_counter", clock)
    target = Work(clock)
    warm = timing.warm_up(target, 0.01, 0.5)
    pace = timing.Pace(timing.calls_per_sample(warm.call_s, 0.01), warm.call_s)
    turns = [timing.take_turn(target, pace, pace.samples(0.06)) for _ in range(8)]
    monkeypatch.undo()
    measured = Timing(tuple(Turn(0, n, 0, 0.0, pace.calls, samples) for n, samples in enumerate(turns)), **BESIDE)
    time = Estimates({"work": measured}).time("work")
    return time.low_s, time.high_s


def run(*command):
    # A pytest within a process of pytest-xdist would take itself for another, and pytest-benchmark measures nothing there.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    variables["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([sys.executable, *command], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def around(mean, deviation, count):
    """(low, high) of a mean; 2.1 is Student's 95 % quantile for 19 degrees of freedom, which both have at least."""
    reach = 2.1 * deviation / math.sqrt(count)
    return mean - reach, mean + reach


def pyperfs(folder):
    script, out = folder / "work.py", folder / "pyperf.json"
    script.write_text(PYPERF)
    counts = ("--processes=1", "--values=20", "--warmups=1")
    run(str(script), *counts, "--quiet", f"--output={out}", "--inherit-environ=PYTHONPATH")
    runs = json.loads(out.read_text())["benchmarks"][0]["runs"]
    values = [value for one in runs for value in one.get("values", ())]
    return around(statistics.mean(values), statistics.stdev(values), len(values))


def pytest_benchmarks(folder):
    script, out = folder / "test_work.py", folder / "benchmark.json"
    script.write_text(PYTEST_BENCHMARK)
    run("-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(folder), "-p", "no:xdist", "-p", "no:cacheprovider",
        f"--benchmark-json={out}", str(script))  # fmt: skip
    stats = json.loads(out.read_text())["benchmarks"][0]["stats"]
    return around(stats["mean"], stats["stddev"], stats["rounds"])


@pytest.mark.parametrize("others", [pyperfs, pytest_benchmarks])
def test_three_timers_agree_on_what_takes_a_millisecond(others, monkeypatch, tmp_path):
    low, high = ours(monkeypatch)
    assert low <= 1e-3 <= high and high < 1.03 * low
    other_low, other_high = others(tmp_path)
    assert other_low <= high and low <= other_high
    assert other_high < 1.03 * other_low
