"""What memory a call needs, from the order in which memory was allocated and freed; `tracer` records it."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from harness.records.cell import Memory

SMALLEST = 1024
"""Bytes of the smallest piece that counts. Objects of Python and of a framework's runtime are smaller, tiles are larger."""

LARGE = 65536
"""Bytes from which it matters whether all of a piece has been touched."""

FEW_OBJECTS = 16384
"""Bytes that Python's small objects of a call come to where they are not its data: frames, tuples, headers of arrays."""

METHOD = "allocation trace (memray)"


class Event(NamedTuple):
    """Memory that is allocated at an address or, with a size below zero, freed; in bytes."""

    address: int
    size: int


@dataclass
class Call:
    """What one call did, in order."""

    events: list[Event] = field(default_factory=list)
    """What it allocated, and freed again."""
    released: int = 0
    """Bytes that it freed of what was live before. XLA frees some of what a call used when the next one begins."""


class LiveMemory:
    """Follows allocations and frees, in order, through the life of a callable.

    A free of what was never seen is ignored. An address that is allocated again without a free was freed unseen.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        """Those that have ended."""
        self._live: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self._call: Call | None = None

    def begin_call(self) -> None:
        """What is allocated from here on is of a call."""
        self._before, self._call = dict(self._live), Call()

    def end_call(self) -> None:
        """The call has returned."""
        assert self._call is not None
        self.calls.append(self._call)
        self._call = None

    def allocate(self, address: int, size: int) -> None:
        """`size` bytes are live from here on."""
        if address in self._live:
            self.free(address)
        if self._call is not None:
            self._call.events.append(Event(address, size))
        elif size < SMALLEST:
            return
        self._live[address] = size

    def free(self, address: int) -> None:
        """What was allocated at an address is live no longer."""
        size = self._live.pop(address, 0)
        earlier = self._before.pop(address, 0)
        if self._call is not None and size:
            if earlier:
                self._call.released += size
            else:
                self._call.events.append(Event(address, -size))

    @property
    def kept(self) -> Mapping[int, int]:
        """Bytes by address of what was live when the last call began, and has been since."""
        return self._before


@dataclass(frozen=True)
class Pages:
    """Which pages of the heap had been touched when a call had returned; before it none of its free ones had been."""

    start: int
    """The address of the first."""
    touched: np.ndarray
    """A boolean a page."""

    def span(self, event: Event) -> slice | None:
        """The pages on which memory lies; None outside the heap."""
        first = (event.address - self.start) // mmap.PAGESIZE
        last = (event.address + event.size - 1 - self.start) // mmap.PAGESIZE
        return slice(first, last + 1) if first >= 0 and last < len(self.touched) else None


NO_PAGES = Pages(0, np.zeros(0, bool))


@dataclass(frozen=True)
class Peak:
    """The moment of a call when the most was in use of what was allocated since it began, in bytes."""

    bytes: int = 0
    """Touched, in pieces of at least `SMALLEST`."""
    large: int = 0
    """Of these, in pieces of at least `LARGE`."""
    unsure: int = 0
    """Of these, perhaps touched not as part of their piece, but of another that lay there in the same call, or beside it."""
    small: int = 0
    """Beside them, in pieces of less than `SMALLEST`."""
    released: int = 0
    """What the call freed of what was live before it; it may have been freed by then."""
    requested: int = 0
    """`bytes` and what has not been touched."""


def peak(call: Call, pages: Pages = NO_PAGES) -> Peak:
    """The highest moment of a call. A piece counts from when it is allocated; outside the heap, as touched everywhere."""
    events = call.events
    weights = _weights({event for event in events if event.size >= LARGE}, pages)
    now, highest = np.zeros(5, np.int64), np.zeros(5, np.int64)
    for address, size in events:
        piece, sign = Event(address, abs(size)), 1 if size > 0 else -1
        now[4] += size if piece.size >= SMALLEST else 0
        if piece.size < SMALLEST:
            now[3] += size
        elif piece in weights:
            touched, unsure = weights[piece]
            now[:3] += sign * touched, sign * touched, sign * unsure
        else:
            now[0] += size
        if now[0] > highest[0]:
            highest = now.copy()
    touched, large, unsure, small, requested = map(int, highest)
    return Peak(touched, large, unsure, small, call.released, requested)


def _weights(pieces: set[Event], pages: Pages) -> dict[Event, tuple[int, int]]:
    """For each large piece the bytes of it that have been touched, and those that may have been touched as another's."""
    cover = np.zeros(len(pages.touched), np.int32)
    for piece in pieces:
        if span := pages.span(piece):
            cover[span] += 1
    found = {}
    for piece in pieces:
        span = pages.span(piece)
        touched = pages.touched[span] if span else np.ones(1, bool)
        if touched.all():
            found[piece] = piece.size, 0
        else:
            shared = touched & (cover[span] > 1)
            for end in (0, -1):  # Its neighbours lie on these too.
                shared[end] = touched[end]
            headers = mmap.PAGESIZE  # Of what was freed where it lies now: the allocator has written to one page more.
            found[piece] = min(piece.size, _bytes(touched)), _bytes(shared) + headers
    return found


def _bytes(pages: np.ndarray) -> int:
    return int(np.count_nonzero(pages)) * mmap.PAGESIZE


@dataclass(frozen=True)
class Traced:
    """What a trace says of the calls of one callable in the steady state, in bytes."""

    peaks: tuple[Peak, ...]
    """The highest moment of each of the calls."""
    python: int
    """What Python's own allocators held at the highest moment of a call: objects, and arrays of NumPy."""
    kept: int
    """Buffers that the callable keeps between its calls, as far as they have been touched."""
    step: int = 1
    """How far `kept` may be from the truth: a page where a buffer has been touched in part."""

    @property
    def highest(self) -> Peak:
        """That of the call which needed most: in another, a thread may have come too late for any work."""
        return max(self.peaks, key=lambda peak: peak.bytes)

    @property
    def spread(self) -> int:
        """How far the call that needed most is from the one that needed least: threads share the work out anew each time."""
        return self.highest.bytes - min(peak.bytes for peak in self.peaks)

    @property
    def objects(self) -> int:
        """Small objects of Python, which the tracer does not see."""
        return max(0, self.python - self.highest.requested)

    @property
    def during(self) -> int:
        """What a call allocates and frees again, or returns."""
        return self.highest.bytes + (self.objects if self.objects > FEW_OBJECTS else 0)

    @property
    def resolution(self) -> int:
        """How far that, and `kept`, may be from the truth."""
        few = self.highest.small + (self.objects if self.objects <= FEW_OBJECTS else 0)
        return max(SMALLEST, few, self.highest.unsure, self.spread, self.step)

    def agrees(self, rise_bytes: int, step_bytes: int) -> bool:
        """Whether the high-water mark can have risen by `rise_bytes` during a call, give or take `step_bytes`.

        It rises by more where the tracer did not see an allocator. Pieces that are not large may lie on pages that were
        resident before.
        """
        slack = step_bytes + self.resolution
        return self.highest.large - self.highest.released - slack <= rise_bytes <= self.during + slack


def refined(marked: Memory, rise_bytes: int, traced: Traced, output_bytes: int) -> Memory:
    """The memory of a call by the trace; by the mark, which rose by `rise_bytes`, where the two contradict each other.

    What the callable keeps is the trace's in both cases.
    """
    agrees = traced.agrees(rise_bytes, marked.resolution_bytes)
    during = traced.during if agrees else rise_bytes + traced.highest.released
    workspace = max(0, traced.kept + during - output_bytes)
    peak_bytes = marked.peak_bytes - marked.workspace_bytes + workspace
    if agrees:
        return Memory(peak_bytes, workspace, METHOD, traced.resolution)
    return Memory(peak_bytes, workspace, marked.method, marked.resolution_bytes)
