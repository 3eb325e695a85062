"""CPUs: those of two runs beside each other are different ones, or it is said."""

import contextlib
import os
import subprocess
import sys
import tempfile

import pytest

from harness.workers import processors

CLAIM = """
import sys
from harness.workers.processors import claimed
with claimed(int(sys.argv[1])) as said:
    print(said, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    affinity = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, affinity)


@contextlib.contextmanager
def other(threads):
    """Another run beside this one, which has claimed its CPUs."""
    command = [sys.executable, "-c", CLAIM, str(threads)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "\n"
        yield process
        process.stdin.close()


def test_one_run_alone_has_the_first_cpus_and_nothing_is_said():
    first = sorted(os.sched_getaffinity(0))[0]
    with processors.claimed(1) as said:
        assert said == "" and processors.of_workers(1) == [first]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one CPU")
def test_two_runs_take_different_cpus():
    before = os.sched_getaffinity(0)
    taken = sorted(before)[0]
    with other(1), processors.claimed(1) as said:
        assert said == "" and taken not in os.sched_getaffinity(0)
    assert os.sched_getaffinity(0) == before


def test_where_not_enough_are_left_it_is_said():
    everything = os.sched_getaffinity(0)
    with other(len(everything)), processors.claimed(len(everything)) as said:
        assert said.startswith("Another run measures") and os.sched_getaffinity(0) == everything


def test_a_claim_ends_with_its_process_however_that_ends():
    with other(len(os.sched_getaffinity(0))) as process:
        process.kill()
        process.wait()
        with processors.claimed(1) as said:
            assert said == ""


def test_a_quota_decides_how_many_threads_make_sense(monkeypatch):
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda _: set(range(8)))
    for quota, threads in ((None, 8), (2.5, 2), (0.3, 1), (64.0, 8)):
        monkeypatch.setattr(processors.Groups, "cpus", lambda _, quota=quota: quota)
        assert processors.usable() == threads


def test_the_lists_of_the_kernel_are_read():
    assert sorted(processors._listed("0-3,8,10-11\n")) == [0, 1, 2, 3, 8, 10, 11]
