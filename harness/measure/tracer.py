"""Recording every allocation of a process, native code and its threads included, with memray.

memray replaces malloc, mmap and their relatives in the symbol tables of all loaded libraries, so that it sees what OpenBLAS,
XLA, oneDNN and the rest request, to the byte. It does not see a stack, nor the small objects of Python's own allocator.
"""

from __future__ import annotations

import bisect
import gc
import importlib.util
import mmap
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from harness.measure import memory
from harness.measure.allocations import NO_PAGES, LiveMemory, Pages, Peak, peak

_BEGIN, _END = 1_000_003, 1_000_033
"""Bytes of mappings that mark where a call begins and ends: primes, which nobody else maps."""

_ARENA = 2**20
"""Bytes that Python's allocator maps for small objects (ARENA_SIZE, Objects/obmalloc.c); what they hold is counted apart."""

_MOST_PAGES = 2**23
"""Pages of the largest heap that is looked at: 32 GiB. The room for their entries costs memory only where it is used."""

_QUIET_S = 0.02
"""A runtime may free what a call used a moment after the call has returned (XLA's thread pool does), and TensorFlow's some
moments after building what it used for that."""

_PRESENT, _SWAPPED = 1 << 63, 1 << 62
"""Bits of an entry of /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst)."""


def available() -> bool:
    """Whether allocations can be recorded here."""
    return importlib.util.find_spec("memray") is not None


class Recording:
    """Records while it is entered; afterwards it can be read until `close`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="attention-harness-trace-")
        self._path = Path(self._folder.name) / "allocations.bin"
        self._pages: list[Pages] = []
        self._heap = _Heap()

    def __enter__(self) -> Self:
        import memray

        destination = memray.FileDestination(self._path, compress_on_exit=False)
        self._tracker = memray.Tracker(destination=destination)
        self._tracker.__enter__()
        sys.setprofile(
            None
        )  # memray follows Python's stack by it, at four times the time of a call; nobody asks for stacks.
        return self

    def __exit__(self, *raised: Any) -> None:
        self._tracker.__exit__(*raised)

    def call(self, call: Callable[[], Any]) -> None:
        """A call whose memory is asked for. Nothing is left of it when this returns."""
        with memory.heap_only():
            time.sleep(_QUIET_S)
            memory.trim_heap()
            mmap.mmap(-1, _BEGIN).close()
            result = call()
            mmap.mmap(-1, _END).close()
            self._pages.append(self._heap.touched())
        del result

    @property
    def size(self) -> int:
        """Bytes that have been recorded so far; an allocation takes two or three."""
        return self._path.stat().st_size

    def peaks(self, live: LiveMemory) -> tuple[Peak, ...]:
        """The highest moment of each of the calls."""
        return tuple(map(peak, live.calls, self._pages))

    def live_memory(self) -> LiveMemory:
        """What was recorded."""
        import memray

        kind = memray.AllocatorType
        frees, mapped = {int(kind.FREE), int(kind.MUNMAP)}, int(kind.MMAP)
        live = LiveMemory()
        for record in memray.FileReader(self._path).get_allocation_records():
            if record.allocator in frees:
                live.free(record.address)
            elif record.allocator != mapped or record.size not in (_BEGIN, _END, _ARENA):
                live.allocate(record.address, record.size)
            elif record.size == _BEGIN:
                live.begin_call()
            elif record.size == _END:
                live.end_call()
        return live

    def freed(self) -> set[int]:
        """The addresses of what was freed."""
        import memray

        frees = {int(memray.AllocatorType.FREE), int(memray.AllocatorType.MUNMAP)}
        reader = memray.FileReader(self._path)
        return {record.address for record in reader.get_allocation_records() if record.allocator in frees}

    def close(self) -> None:
        self._heap.close()
        self._folder.cleanup()


def quiet() -> None:
    """Return when what is no longer needed has been freed."""
    gc.collect()
    time.sleep(5 * _QUIET_S)


def python_peak(call: Callable[[], Any]) -> int:
    """Bytes that Python's allocators hold at the highest moment of a call, above what they held before; NumPy's included."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        result = call()
        _, peak = tracemalloc.get_traced_memory()
        del result
    finally:
        tracemalloc.stop()
    return peak - before


def touched_bytes(address: int, size: int) -> int:
    """How much of the memory at an address is resident or swapped out, since it has been touched: all, or so many pages."""
    page = mmap.PAGESIZE
    first, last = address // page, (address + size - 1) // page
    try:
        with open("/proc/self/pagemap", "rb") as file:
            file.seek(first * 8)
            entries = np.frombuffer(file.read((last - first + 1) * 8), np.uint64)
    except OSError:
        return size
    pages = int(np.count_nonzero(_touched(entries)))
    return size if pages == last - first + 1 else min(size, pages * page)


def _touched(entries: np.ndarray) -> np.ndarray:
    return (entries & np.uint64(_PRESENT | _SWAPPED)) != 0


class _Heap:
    """The pages of the process's heap.

    Looking at them allocates nothing: what has been freed would be allocated again, and touched.
    """

    def __init__(self) -> None:
        self._entries = memoryview(mmap.mmap(-1, _MOST_PAGES * 8))
        try:
            maps = Path("/proc/self/maps").read_text(encoding="utf-8")
            (line,) = (line for line in maps.splitlines() if line.endswith("[heap]"))
            self._start = int(line.partition("-")[0], 16)
            self._file = os.open("/proc/self/pagemap", os.O_RDONLY)
        except (OSError, ValueError):
            self._start = 0

    def touched(self) -> Pages:
        """Which of them have been touched."""
        if not self._start:
            return NO_PAGES
        count = min((memory.heap_end() - self._start) // mmap.PAGESIZE, _MOST_PAGES)
        room = self._entries[: count * 8]
        os.preadv(self._file, [room], self._start // mmap.PAGESIZE * 8)
        return Pages(self._start, _touched(np.frombuffer(room, np.uint64)))

    def close(self) -> None:
        if self._start:
            os.close(self._file)


def executable() -> Callable[[int], bool]:
    """A function that says whether code lies at an address."""
    spans = []
    with open("/proc/self/maps", encoding="utf-8") as lines:
        for line in lines:
            span, permissions = line.split(maxsplit=2)[:2]
            if "x" in permissions:
                begin, end = span.split("-")
                spans.append((int(begin, 16), int(end, 16)))

    def lies_there(address: int) -> bool:
        number = bisect.bisect(spans, (address, sys.maxsize)) - 1
        return number >= 0 and address < spans[number][1]

    return lies_there
