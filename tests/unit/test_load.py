"""Noticing other work on the machine."""

import os
import subprocess
import sys
import time

from harness.measure.load import LoadMeter, process_clock

BUSY = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass"


def run_busy(seconds):
    return subprocess.Popen([sys.executable, "-c", BUSY.format(seconds)])


def test_work_of_others_is_foreign_and_told():
    meter = LoadMeter([os.getpid()])
    run_busy(1.0).wait()
    assert meter.foreign_share() > 0.03
    assert "other processes used" in meter.warning()


def test_work_of_a_worker_is_ours():
    """The same work, once counted as a worker's and once not, differs by what it used."""
    worker = run_busy(30.0)
    try:
        ours, theirs = LoadMeter([worker.pid]), LoadMeter([])
        while time.clock_gettime(process_clock(worker.pid)) < 0.5:
            pass
        assert theirs.foreign_share() - ours.foreign_share() > 0.1 / os.cpu_count()
    finally:
        worker.kill()
        worker.wait()
