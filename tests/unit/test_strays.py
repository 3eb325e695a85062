"""What workers leave behind is ended, and nothing else is."""

import os
import subprocess
import sys
from contextlib import contextmanager

from harness.workers import strays


@contextmanager
def sleeper(mark):
    """A process with a mark, in a session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env={**os.environ, strays.MARK: mark},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def gone():
    """The owner of a mark whose process has ended."""
    ended = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    owner = strays.owner(ended.pid)
    ended.communicate()
    return owner


def namespace():
    return os.stat("/proc/self/ns/pid").st_ino


def test_a_worker_s_are_ended_and_those_of_another_are_not():
    mark = strays.new_mark()
    with sleeper(mark) as its, sleeper(strays.new_mark()) as another:
        strays.end(mark, ())
        its.wait(timeout=10)
        assert another.poll() is None


def test_what_a_killed_command_has_left_is_swept():
    with sleeper(f"{gone()}.{namespace()}.0") as left, sleeper(strays.new_mark()) as mine:
        strays.sweep()
        left.wait(timeout=10)
        assert mine.poll() is None


def test_a_number_that_another_process_has_by_now_is_gone():
    pid, start = strays.owner(os.getpid()).split(".")
    assert strays.is_gone(f"{pid}.{int(start) - 1}.{namespace()}.0")
    assert not strays.is_gone(f"{pid}.{start}.{namespace()}.0")


def test_a_command_that_nobody_has_waited_for_is_gone():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    owner = strays.owner(ended.pid)
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert strays.is_gone(f"{owner}.{namespace()}.0")
    ended.wait()


def test_another_container_s_are_left_alone():
    """Its numbers mean other processes here."""
    with sleeper(f"{gone()}.{namespace() + 1}.0") as another:
        strays.sweep()
        assert another.poll() is None


def test_what_is_no_mark_is_left_alone():
    for word in ("", "x", "1", "1.2", "..", "1.x.y.z", "-1.2.3.4"):
        assert not strays.is_gone(word)


ADOPTS = """
import os, subprocess, sys, time
from harness.workers import strays
{before}
strays.adopt()
worker = subprocess.Popen([sys.executable, "-c", '''
import os, subprocess, sys
orphan = subprocess.Popen(["sleep", "60"], env={{}}, start_new_session=True)
print(orphan.pid, flush=True)
'''], stdout=subprocess.PIPE, text=True)
orphan = int(worker.stdout.readline())
worker.wait()
strays.end("no mark", ())
print(os.path.exists(f"/proc/{{orphan}}"), {alive})
if os.path.exists(f"/proc/{{orphan}}"):
    os.kill(orphan, 9)
{after}
"""


def adopted(before, alive, after=""):
    code = ADOPTS.format(before=before, alive=alive, after=after)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


def test_orphans_without_a_mark_are_ended_too():
    assert adopted("", "0") == ["False", "0"]


def test_children_of_the_shell_that_became_the_command_are_left_alone():
    before = "earlier = subprocess.Popen(['sleep', '60'])"
    assert adopted(before, "earlier.poll() is None", "earlier.kill()") == ["True", "True"]
