"""Several calls at the same time, each on a thread of its own."""

from __future__ import annotations

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
    """Threads that wait for calls. Use as a context manager."""

    def __init__(self, count: int):
        self._pool = ThreadPoolExecutor(count)
        self._count = count

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def run(self, calls: Sequence[Callable[[], Any]]) -> Together:
        """Start the calls at once, at most as many as there are threads. They should release the interpreter's lock."""
        start = threading.Barrier(len(calls))

        def timed(call: Callable[[], Any]) -> tuple[float, float, Any]:
            start.wait()
            began = time.perf_counter()
            result = call()
            return began, time.perf_counter(), result

        began, ended, results = zip(*self._pool.map(timed, calls), strict=True)
        return Together(max(ended) - min(began), results)
