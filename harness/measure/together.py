"""Several calls at the same time, each on a thread of its own."""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple


class Together(NamedTuple):
    """Calls that ran at the same time."""

    seconds: float
    """From the start of the first to the end of the last."""
    results: tuple[Any, ...]


class Threads:
    """Threads that wait for calls, each on a CPU of its own while there are enough. Use as a context manager.

    Left to the system, two threads were seen to take turns on one CPU while another process had the other: each result then
    looked like one thread's.
    """

    def __init__(self, count: int):
        cpus: queue.SimpleQueue[int] = queue.SimpleQueue()
        for cpu in itertools.islice(itertools.cycle(sorted(os.sched_getaffinity(0))), count):
            cpus.put(cpu)
        # On Linux, process 0 is the thread that calls (sched_setaffinity(2)).
        self._pool = ThreadPoolExecutor(count, initializer=lambda: os.sched_setaffinity(0, {cpus.get()}))

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def run(self, calls: Sequence[Callable[[], Any]]) -> Together:
        """Start the calls at once, at most as many as there are threads. They should release the interpreter's lock.

        A single call runs on the thread that asks, which the system may move.
        """
        start = threading.Barrier(len(calls))

        def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
            start.wait()
            began = time.perf_counter()
            result = call()
            return began, time.perf_counter(), result

        began, ended, results = zip(*(self._pool.map if len(calls) > 1 else map)(timed, calls), strict=True)
        return Together(max(ended) - min(began), results)
