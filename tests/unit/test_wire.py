"""What a parent makes of whatever comes out of its worker's socket."""

import os
import pickle
import socket
import struct
import subprocess
import sys
import time

import ml_dtypes
import numpy as np
import pytest

from harness.records.accuracy import Accuracy
from harness.workers.messages import Ready
from harness.workers.wire import GarbledError, Wire


@pytest.fixture
def ends():
    """(the parent's end, the worker's socket), and a process that stands for the worker."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    ours, theirs = socket.socketpair()
    wire = Wire(ours, os.pidfd_open(process.pid))
    yield wire, theirs, process
    wire.close()
    theirs.close()
    process.kill()
    process.wait()


def message(data):
    return struct.pack("!4sQ", b"atn1", len(data)) + data


class Evil:
    def __reduce__(self):
        return os.getpid, ()


class Calls:
    def __reduce__(self):
        return subprocess.Popen, (["true"],)


@pytest.mark.parametrize(
    "reply",
    [
        Ready({"a": (1, 2.5, None)}, 0.5),
        Accuracy(0.1, 0.2, 3),
        {"x": np.arange(5.0), "y": np.float32(2), "z": np.ones(3, ml_dtypes.bfloat16)},
        b"x" * 10**6,
        True,
    ],
    ids=["ready", "accuracy", "arrays", "long", "true"],
)
def test_replies_come_through(ends, reply):
    wire, theirs, _ = ends
    sender = Wire(theirs)
    if isinstance(reply, bytes):
        pid = os.fork()
        if not pid:
            sender.send(reply)
            os._exit(0)
        found = wire.receive(10.0)
        os.waitpid(pid, 0)
    else:
        sender.send(reply)
        found = wire.receive(10.0)
    np.testing.assert_equal(found, reply)


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x08garbage!",
        b"x" * 64,
        message(b"no pickle"),
        message(b""),
        message(pickle.dumps(Evil())),
        message(pickle.dumps(Calls())),
        message(pickle.dumps(os.system)),
        struct.pack("!4sQ", b"atn1", 2**50),
    ],
)
def test_anything_else_is_garbled_and_does_nothing(ends, data):
    wire, theirs, _ = ends
    theirs.sendall(data)
    with pytest.raises(GarbledError):
        wire.receive(10.0)


def test_half_a_message_is_late(ends):
    wire, theirs, _ = ends
    theirs.sendall(struct.pack("!4sQ", b"atn1", 1000) + b"only this")
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        wire.receive(0.2)
    assert time.monotonic() - start < 5


def test_a_process_that_ended_says_nothing_more_whoever_holds_its_socket(ends):
    wire, theirs, process = ends
    theirs.sendall(message(pickle.dumps(1)))
    process.kill()
    process.wait()
    assert wire.receive(10.0) == 1
    with pytest.raises(EOFError):
        wire.receive(10.0)


def test_a_long_wait_is_interrupted_by_whoever_looks_after_it(ends):
    wire, _, _ = ends

    def look():
        raise MemoryError

    with pytest.raises(MemoryError):
        wire.receive(30.0, look)
