"""An exception, or the last words of a process, as a status and a sentence."""

from __future__ import annotations

import contextlib
import re
import traceback

from harness.errors import Status, Unavailable, describe
from harness.errors.text import said_by
from harness.workers.messages import Failed

OUT_OF_MEMORY = re.compile(
    r"out of memory|allocate memory|memory allocation|RESOURCE_EXHAUSTED|bad_alloc|unable to allocate|OOM when", re.I
)
"""What frameworks and C libraries say when there is no more."""

_NO_ALLOCATION = (ValueError, TypeError, LookupError, AssertionError)
"""Exceptions that speak of memory by chance: no allocator raises them."""


def failure(error: BaseException) -> Failed:
    """An exception as a status and a sentence; where it came from is printed."""
    said = describe(error)
    if isinstance(error, Unavailable):
        return Failed(Status.UNAVAILABLE, said_by(error))
    with contextlib.suppress(Exception):  # What it prints to may be closed, and its message may be none.
        traceback.print_exception(error)
    if isinstance(error, MemoryError) or (not isinstance(error, _NO_ALLOCATION) and OUT_OF_MEMORY.search(said)):
        return Failed(Status.OUT_OF_MEMORY, said)
    return Failed(Status.ERROR, said)
