"""Peak memory of one call, read from the kernel's own high-water mark.

Writing 5 to /proc/self/clear_refs sets a process's VmHWM to its present resident size (proc(5)); what the mark then rises
by during a call is what the call really touched, page by page, whoever allocated it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import os
import platform
import re
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

CLEAR_REFS = "/proc/self/clear_refs"
METHOD = "VmHWM after clear_refs"
FALLBACK_METHOD = "ru_maxrss"

_GIVES_BACK = 65536
"""Bytes from which glibc's allocator maps what it is asked for, and gives back at once what is freed."""

ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(_GIVES_BACK),
    "MALLOC_TRIM_THRESHOLD_": str(_GIVES_BACK),
    "MALLOC_TOP_PAD_": "0",
    "MALLOC_ARENA_MAX": "1",
    "NUMPY_MADVISE_HUGEPAGE": "0",
}
"""Under these a call's mark owes nothing to the call before, what is smaller lies in one heap, and pages are small."""

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Parameters of mallopt(3)."""

DEVICE_STEP = 512
"""Bytes that the allocators of devices round up to: 512 in PyTorch (kMinBlockSize), 256 in JAX and TensorFlow (BFC)."""


@dataclass(frozen=True)
class Mark:
    """Resident bytes before a call and at its highest."""

    before: int
    peak: int


def resident_bytes() -> int:
    """Resident memory of this process, exact to the page where the kernel says so (smaps_rollup)."""
    try:
        with open("/proc/self/smaps_rollup", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("Rss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _status("VmRSS")


def can_reset() -> bool:
    """Whether this kernel lets a process reset its own high-water mark."""
    try:
        with open(CLEAR_REFS, "w", encoding="utf-8") as file:
            file.write("5")
    except OSError:
        return False
    return True


def trim() -> None:
    """Collect garbage and have the allocator give back what it does not use."""
    gc.collect()
    trim_heap()


def trim_heap() -> None:
    """Have the allocator give back what it does not use."""
    if libc := _glibc():
        libc.malloc_trim(0)


@contextlib.contextmanager
def heap_only() -> Iterator[None]:
    """Meanwhile glibc allocates everything in its heap, and what is freed stays there: its pages can still be looked at."""
    libc = _glibc()
    if libc:
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        if libc:
            libc.mallopt(_M_MMAP_MAX, 65536)  # The default.
            libc.mallopt(_M_TRIM_THRESHOLD, _GIVES_BACK)
            libc.malloc_trim(0)


def heap_end() -> int:
    """The address behind the heap; 0 where it is not known."""
    if not (libc := _glibc()):
        return 0
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
    return libc.sbrk(0) or 0


def _glibc() -> ctypes.CDLL | None:
    """glibc; None where another C library is used, whose memory stays where it is."""
    try:
        libc = ctypes.CDLL("libc.so.6") if sys.platform == "linux" else None
    except OSError:
        return None
    return libc if hasattr(libc, "malloc_trim") else None


def watch(call: Callable[[], Any]) -> tuple[Any, Mark]:
    """Run `call` and say how much memory it took at its highest. Its result is returned, so that it is still alive."""
    trim()
    resets = can_reset()
    before = resident_bytes()
    result = call()
    peak = _status("VmHWM") if resets else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result, Mark(before, max(before, peak))


def step_bytes() -> int:
    """How far the high-water mark may be from the truth.

    Since Linux 6.2 each CPU counts changes of a process's resident pages by itself, and adds them to the common counter when
    they come to `percpu_counter_batch` (lib/percpu_counter.c): 32, or twice the number of online CPUs if that is more. The
    mark is a maximum of the common counters (`update_hiwater_rss`, include/linux/mm.h), one of anonymous pages and one of
    pages of files. Before, each thread counted 64 events by itself (TASK_RSS_EVENTS_THRESH, mm/memory.c).
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pages = max(32, 2 * (os.cpu_count() or 1)) if _kernel() >= (6, 2) else 64
    return 2 * cpus * pages * mmap.PAGESIZE


def _kernel() -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    return tuple(map(int, found.groups())) if found else (0, 0)


def method() -> str:
    """The name of the method that `watch` uses here."""
    return METHOD if can_reset() else FALLBACK_METHOD


def _status(field: str) -> int:
    with open("/proc/self/status", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
