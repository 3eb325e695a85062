"""What a worker uses beyond its own limits: shared memory, files of its in /dev/shm, children, what it prints."""

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from harness.workers.watch import KEPT_BYTES, MOST_PRINTED_BYTES, SHARED, OverLimitError, Watch

MIB = 2**20

pytestmark = pytest.mark.skipif(not os.access(SHARED, os.W_OK), reason="there is no /dev/shm that can be written")

HEAD = """
import mmap, os, sys
from multiprocessing import resource_tracker, shared_memory
MIB = 2**20

def segment(count):
    made = shared_memory.SharedMemory(create=True, size=count * MIB)
    resource_tracker.unregister(made._name, "shared_memory")
    made.buf[:] = b'x' * (count * MIB)
    return made

def touched(count):
    area = mmap.mmap(-1, count * MIB)
    area[:] = b'x' * (count * MIB)
    return area
"""


@contextmanager
def watched(body, limit_mib=0):
    """A process that has done something, and waits; and its watch. What `body` prints comes back."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD + "sys.stdin.readline()\n" + body + "\nprint(flush=True)\nsys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            watch = Watch(process.pid, limit_mib * MIB, log.fileno())
            process.stdin.write("\n")
            process.stdin.flush()
            yield process, watch, process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()


def ended(process):
    process.kill()
    process.wait()


def test_a_segment_that_is_mapped_counts_once():
    with watched("kept = segment(96)", limit_mib=160) as (process, watch, _):
        watch.look()
        ended(process)
        watch.tidy()


def test_segments_and_anonymous_shared_memory_count_together():
    with watched("kept = segment(96), touched(96)", limit_mib=160) as (process, watch, _):
        with pytest.raises(OverLimitError, match="with shared memory and children"):
            watch.look()
        ended(process)
        watch.tidy()


def test_what_somebody_else_has_open_is_not_counted():
    with (
        watched("kept = touched(96)", limit_mib=160) as (process, watch, _),
        watched("kept = segment(96); print(kept.name)") as (_, _, name),
    ):
        watch.look()
        ended(process)
        watch.tidy()
        (SHARED / name).unlink()


def test_children_count_and_what_they_share_counts_once():
    body = (
        "kept = b'x' * (96 * MIB)\nready, done = os.pipe()\n"
        "if not os.fork():\n    {}\n    os.write(done, b'.')\n    os.read(0, 1)\n    os._exit(0)\n"
        "os.read(ready, 1)"
    )
    with watched(body.format("pass"), limit_mib=160) as (_, watch, _):
        watch.look()
    more = body.format("more = b'x' * (96 * MIB)")
    with watched(more, limit_mib=160) as (_, watch, _), pytest.raises(OverLimitError):
        watch.look()


def test_what_it_leaves_in_shared_memory_is_removed():
    with watched("print(segment(1)._name[1:], end='')") as (process, watch, name):
        ended(process)
        assert (SHARED / name).exists()
        watch.tidy()
        assert not (SHARED / name).exists()


def test_a_file_that_it_was_seen_to_have_open_is_removed():
    name = f"own-name-{os.getpid()}x"
    with watched(f"kept = open('/dev/shm/{name}', 'w')") as (process, watch, _):
        watch.look()
        ended(process)
        watch.tidy()
        assert not (SHARED / name).exists()


def test_files_of_others_are_neither_counted_nor_removed():
    with (
        watched("", limit_mib=64) as (process, watch, _),
        tempfile.NamedTemporaryFile(dir=SHARED, prefix="somebodys-") as file,
    ):
        file.write(bytes(96 * MIB))
        file.flush()
        watch.look()
        ended(process)
        watch.tidy()
        assert os.path.exists(file.name)


def test_a_segment_that_another_process_has_open_stays():
    with watched("print(segment(1)._name[1:], end='')") as (process, watch, name):
        with_it = shared_memory.SharedMemory(name)
        ended(process)
        watch.tidy()
        assert (SHARED / name).exists()
        with_it.close()
        with_it.unlink()


def test_a_segment_that_a_process_of_its_kept_open_is_removed_after_that_has_ended():
    """One that has left the worker's family, such as a daemon: it is no descendant when it is looked at."""
    daemon = (
        "kept = segment(1)\nread, write = os.pipe()\n"
        "if not os.fork():\n"
        "    if os.fork():\n        os._exit(0)\n"
        "    os.write(write, str(os.getpid()).encode())\n    sys.stdout.close()\n    import signal; signal.pause()\n"
        "os.wait()\nprint(kept.name, os.read(read, 20).decode())\nkept.close()"
    )
    with watched(daemon, limit_mib=160) as (process, watch, said):
        name, pid = said.split()
        watch.look()
        ended(process)
        os.kill(int(pid), 9)
        maps = Path(f"/proc/{pid}/maps")
        while maps.exists() and maps.read_text():  # Of one that has ended, and was not waited for, it is empty.
            pass
        watch.tidy()
        assert not (SHARED / name).exists()


def test_what_it_prints_is_bounded():
    with tempfile.TemporaryFile() as log:
        log.write(bytes(MOST_PRINTED_BYTES) + b"the last line")
        log.flush()
        Watch(os.getpid(), 0, log.fileno()).look()
        assert os.fstat(log.fileno()).st_size == KEPT_BYTES
        assert os.pread(log.fileno(), KEPT_BYTES, 0).endswith(b"the last line")
