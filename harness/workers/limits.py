"""What a worker may use, and when it must end."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from harness.workers.cgroup import Groups

_PR_SET_PDEATHSIG = 1


def restrict(threads: int, memory_bytes: int) -> None:
    """Keep to the cores and the memory that were given, and be the first that the kernel ends when memory runs out."""
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[:threads])
    if memory_bytes:
        # Private writable memory (getrlimit(2), Linux 4.7): address space that is only reserved does not count.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    except OSError:
        pass


MEMORY_SHARE = 0.8
"""Of the available memory, what the workers may use unless something else is asked for."""


def memory_limit(gib: float | None = None) -> int:
    """Bytes that a worker may allocate: what was asked for, else a share of what is available."""
    if gib is not None:
        return int(gib * 2**30)
    import psutil

    available, left = psutil.virtual_memory().available, Groups().memory_left_bytes()
    return int(MEMORY_SHARE * (available if left is None else min(available, left)))


def die_with_parent() -> None:
    """Have the kernel end this process when its parent dies, even inside an endless native loop (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
