"""How calls really run: on how many threads, by which kernels, in which dtype. Looked at when nothing is timed any more."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.frameworks.base import Kernel
from harness.plugins.bound_call import BoundCall
from harness.plugins.implementation import Implementation
from harness.records.execution import Execution

AT_LEAST_S = 0.01
"""So long is looked at the threads, in one call or more."""

BUSY = 0.05
"""A thread takes part when it works for this share of the time."""

MOST_CHARACTERS = 200
"""Of a kernel's name that a record keeps: those of templates in C++ are long."""

_TASKS = Path("/proc/self/task")


def observe(bound: BoundCall, implementation: Implementation) -> Execution:
    """Look at some calls."""
    threads, processors = _occupied(bound.call_and_synchronize)
    kernels = _kernels(bound)
    names = tuple(dict.fromkeys(kernel.name for kernel in kernels))
    dtypes = tuple(dict.fromkeys(kernel.dtype for kernel in kernels if kernel.dtype))
    return Execution(threads, processors, names, dtypes, _fallback(implementation.fast_kernel, names))


def _occupied(call: Callable[[], Any]) -> tuple[int, float]:
    """Threads that take part in calls, and processors that they keep busy."""
    before, spent_s, start = _thread_times_s(), time.process_time(), time.perf_counter()
    while True:
        call()
        elapsed_s = time.perf_counter() - start
        if elapsed_s >= AT_LEAST_S:
            break
    spent_s, after = time.process_time() - spent_s, _thread_times_s()
    worked = [time_s - before.get(thread, 0.0) for thread, time_s in after.items()]
    return sum(time_s >= BUSY * elapsed_s for time_s in worked), spent_s / elapsed_s


def _thread_times_s() -> dict[int, float]:
    """Processor time of each thread of this process; empty where the system does not tell."""
    times: dict[int, float] = {}
    for thread in map(int, os.listdir(_TASKS)) if _TASKS.exists() else ():
        try:
            # The clock of a thread, numbered as by glibc's pthread_getcpuclockid: which knows only threads of POSIX.
            times[thread] = time.clock_gettime(~thread << 3 | 6)
        except OSError:  # It has ended.
            continue
    return times


def _kernels(bound: BoundCall) -> list[Kernel]:
    """What the implementation itself says that it runs, else what its library says."""
    try:
        told = bound.kernels() if bound.kernels else bound.framework.kernels(bound.call)
        return [Kernel(_plain(one.name), _plain(one.dtype or "")) for one in told]
    except Exception:  # Beside the point of the run: what cannot be told is left out.
        return []


def _plain(text: object) -> str:
    """One line of text that can be written to a file, whatever an implementation has called its kernel."""
    return " ".join(str(text).encode("utf-8", "replace").decode().split())[:MOST_CHARACTERS]


def _fallback(wanted: str, ran: tuple[str, ...]) -> str:
    if not wanted or not ran or any(re.search(wanted, name) for name in ran):
        return ""
    return f"it ran {', '.join(ran[:3])}, and nothing that is called {wanted.replace('|', ' or ')}"
