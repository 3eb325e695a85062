"""An exception, or the last words of a process, as a status and a sentence."""

from __future__ import annotations

import re
import traceback

from harness.errors import Status, Unavailable, describe
from harness.workers.messages import Failed

OUT_OF_MEMORY = re.compile(
    r"out of memory|allocate memory|memory allocation|RESOURCE_EXHAUSTED|bad_alloc|unable to allocate|OOM when", re.I
)
"""What frameworks and C libraries say when there is no more."""


def failure(error: BaseException) -> Failed:
    """An exception as a status and a sentence; where it came from is printed."""
    if isinstance(error, Unavailable):
        return Failed(Status.UNAVAILABLE, str(error))
    traceback.print_exception(error)
    if isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error)):
        return Failed(Status.OUT_OF_MEMORY, describe(error))
    return Failed(Status.ERROR, describe(error))
