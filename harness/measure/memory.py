"""Peak memory of one call, read from the kernel's own high-water mark.

Writing 5 to /proc/self/clear_refs sets a process's VmHWM to its present resident size (proc(5)); what the mark then rises
by during a call is what the call really touched, page by page, whoever allocated it.
"""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CLEAR_REFS = "/proc/self/clear_refs"
METHOD = "VmHWM after clear_refs"
FALLBACK_METHOD = "ru_maxrss"

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_TOP_PAD_": "0"}
"""glibc's allocator gives freed memory back at once under these, so that a call's mark owes nothing to the call before."""


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
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        except (OSError, AttributeError):  # Another C library; its memory stays where it is.
            pass


def watch(call: Callable[[], Any]) -> tuple[Any, Mark]:
    """Run `call` and say how much memory it took at its highest. Its result is returned, so that it is still alive."""
    trim()
    resets = can_reset()
    before = _status("VmRSS") if resets else resident_bytes()
    result = call()
    peak = _status("VmHWM") if resets else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result, Mark(before, max(before, peak))


def method() -> str:
    """The name of the method that `watch` uses here."""
    return METHOD if can_reset() else FALLBACK_METHOD


def _status(field: str) -> int:
    with open("/proc/self/status", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
