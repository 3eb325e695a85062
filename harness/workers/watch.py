"""What a worker uses beyond what its own limits see: shared memory, files in /dev/shm, its children, what it prints.

The parent looks between requests, and while one takes long: a short one that is being timed is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

SHARED = Path("/dev/shm")

MOST_PRINTED_BYTES = 2**24
KEPT_BYTES = 2**16
"""Of what a process prints: beyond the first, no more than the last is kept."""

_GIB = 2**30


class OverLimitError(Exception):
    """More memory is in use than was allowed; the message says how much."""


class Watch:
    """Watches one worker."""

    def __init__(self, pid: int, memory_bytes: int, log: int):
        self._pid, self._memory_bytes, self._log = pid, memory_bytes, log
        self._before: set[str] = set()
        self._files: set[Path] = set()

    def begin(self) -> None:
        """A request is about to be made: files in shared memory that appear from now on are the worker's."""
        self._before = _names()

    def look(self) -> None:
        """Keep what it prints within bounds. Raises `OverLimitError` where it uses too much memory."""
        self._files |= {SHARED / name for name in _names() - self._before}
        _shorten(self._log)
        if not self._memory_bytes:
            return
        pids = [self._pid, *_descendants(self._pid)]
        used = sum(map(_resident_bytes, pids))
        if used + self._shared_bytes() > self._memory_bytes and len(pids) > 1:  # Pages that they share count once.
            used = sum(map(_proportional_bytes, pids))
        if (used := used + self._shared_bytes()) > self._memory_bytes:
            raise OverLimitError(
                f"{used / _GIB:.3g} GiB were in use, with shared memory and children, "
                f"and {self._memory_bytes / _GIB:.3g} GiB were allowed"
            )

    def tidy(self) -> None:
        """The worker has ended: remove what it has left in shared memory, unless somebody else has it open."""
        left = {path for path in self._files if path.exists()}
        if left:
            for path in left - _in_use(left):
                try:
                    if path.stat().st_uid == os.getuid():
                        path.unlink()
                except OSError:
                    continue

    def _shared_bytes(self) -> int:
        total = 0
        for path in self._files:
            try:
                total += path.stat().st_blocks * 512
            except OSError:
                continue
        return total


def _names() -> set[str]:
    try:
        return set(os.listdir(SHARED))
    except OSError:
        return set()


def _shorten(log: int) -> None:
    """Drop all but the last of what was printed, once that is much."""
    size = os.fstat(log).st_size
    if size > MOST_PRINTED_BYTES:
        last = os.pread(log, KEPT_BYTES, size - KEPT_BYTES)
        os.ftruncate(log, 0)
        os.pwrite(log, last, 0)


def _descendants(pid: int) -> Iterator[int]:
    """The processes that a process has started, and those that these have."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return
    for task in tasks:
        try:
            children = [int(word) for word in (task / "children").read_text(encoding="utf-8").split()]
        except (OSError, ValueError):
            continue
        for child in children:
            yield child
            yield from _descendants(child)


def _resident_bytes(pid: int) -> int:
    """Of a process: its own memory, and shared memory that it has touched, without files (proc(5), status)."""
    return _kilobytes(Path(f"/proc/{pid}/status"), ("RssAnon:", "RssShmem:"))


def _proportional_bytes(pid: int) -> int:
    """The same with every page divided by the processes that have it (proc(5), smaps_rollup)."""
    return _kilobytes(Path(f"/proc/{pid}/smaps_rollup"), ("Pss_Anon:", "Pss_Shmem:"))


def _kilobytes(path: Path, names: tuple[str, ...]) -> int:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(names))


def _in_use(paths: set[Path]) -> set[Path]:
    """Those that a process has open or mapped."""
    wanted, found = {str(path): path for path in paths}, set()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            mapped = {line.split(maxsplit=5)[5] for line in (process / "maps").read_text(errors="replace").splitlines()
                      if "/dev/shm/" in line}  # fmt: skip
            opened = {os.readlink(link) for link in (process / "fd").iterdir()}
        except OSError:
            continue
        found |= {wanted[name] for name in (mapped | opened) & wanted.keys()}
    return found
