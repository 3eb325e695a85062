"""Noticing other work on the machine."""

import os
import subprocess
import sys
import time

from harness.measure.idle import busy, wait_for_idle
from harness.measure.load import LoadMeter, process_clock

BUSY = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass"


def run_busy(seconds):
    return subprocess.Popen([sys.executable, "-c", BUSY.format(seconds)])


def test_work_of_others_is_foreign_and_told():
    meter = LoadMeter([os.getpid()])
    run_busy(1.0).wait()
    assert "other processes used" in meter.disturbed()


def test_work_of_a_worker_is_ours():
    """The same work, once counted as a worker's and once not, differs by what it used."""
    worker = run_busy(30.0)
    try:
        ours, theirs = LoadMeter([worker.pid]), LoadMeter([])
        while time.clock_gettime(process_clock(worker.pid)) < 0.5:
            pass
        assert theirs.foreign_s() - ours.foreign_s() > 0.3
    finally:
        worker.kill()
        worker.wait()


def test_waiting_ends_when_nothing_else_has_run_for_a_while():
    looks = iter(["others", "", "", "others", *[""] * 10, "never looked at"])
    told = []
    wait_for_idle(told.append, lambda: next(looks))
    assert next(looks) == "never looked at" and told[0] == "waiting: others"


def test_a_busy_machine_is_noticed_before_a_run():
    busy_one = run_busy(30.0)
    try:
        while time.clock_gettime(process_clock(busy_one.pid)) < 0.1:
            pass
        assert "other processes used" in busy()
    finally:
        busy_one.kill()
        busy_one.wait()
