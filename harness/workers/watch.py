"""What a worker uses beyond what its own limits see: shared memory, files in /dev/shm, its children, what it prints.

The parent looks between requests, and while one takes long: a short one that is being timed is left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

SHARED = Path("/dev/shm")

MOST_PRINTED_BYTES = 2**24
KEPT_BYTES = 2**16
"""Of what a process prints: beyond the first, no more than the last is kept."""

_OF_LIBRARIES = re.compile(r"psm_|pym-|sem\.|torch_")
"""How names in shared memory begin that Python's multiprocessing and PyTorch make up. Other names are somebody's own."""

_GIB = 2**30


class OverLimitError(Exception):
    """More memory is in use than was allowed; the message says how much."""


class Watch:
    """Watches one worker."""

    def __init__(self, pid: int, memory_bytes: int, log: int):
        self._pid, self._memory_bytes, self._log = pid, memory_bytes, log
        self._judged = _names()
        self._files: set[Path] = set()

    def look(self) -> None:
        """Keep what it prints within bounds. Raises `OverLimitError` where it uses too much memory."""
        self._claim()
        _shorten(self._log)
        if not self._memory_bytes:
            return
        pids = [self._pid, *_descendants(self._pid)]
        used = sum(map(_resident_bytes, pids)) + _bytes_of(self._files)
        if used > self._memory_bytes:
            # Pages that two share, or that are of a file too, were counted twice; and what a library named may be others'.
            own = self._files - (_held(set(_processes()) - set(pids)) - _held(pids))
            used = sum(map(_proportional_bytes, pids)) + _bytes_of(own)
        if used > self._memory_bytes:
            raise OverLimitError(
                f"{used / _GIB:.3g} GiB were in use, with shared memory and children, "
                f"and {self._memory_bytes / _GIB:.3g} GiB were allowed"
            )

    def tidy(self) -> None:
        """The worker has ended: remove what it has left in shared memory, unless somebody else has it open."""
        self._claim()
        left = {path for path in self._files if path.exists()}
        if left:
            for path in left - _held(_processes()):
                try:
                    if path.stat().st_uid == os.getuid():
                        path.unlink()
                except OSError:
                    continue

    def _claim(self) -> None:
        """Files in shared memory that have appeared are taken for the worker's where it has them open, or by their names.

        Others may use that folder at the same time: what they alone have open is neither counted nor removed.
        """
        new = _names() - self._judged
        if new:
            self._judged |= new
            pids = [self._pid, *_descendants(self._pid)]
            held, numbers = _held(pids), {str(pid) for pid in pids}
            self._files |= {
                SHARED / name
                for name in new
                if SHARED / name in held or _OF_LIBRARIES.match(name) or numbers & set(re.findall(r"\d+", name))
            }


def _bytes_of(files: Iterable[Path]) -> int:
    total = 0
    for path in files:
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
    """The same with every page divided by the processes that have it, and without files (proc(5), smaps)."""
    process = Path(f"/proc/{pid}")
    return _kilobytes(process / "smaps_rollup", ("Pss_Anon:", "Pss_Shmem:")) - _of_files(process / "smaps")


def _of_files(path: Path) -> int:
    """How much of a process's memory is of files in shared memory, which are counted as files."""
    total, counts = 0, False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line[0].isupper():  # The first line of a mapping: its addresses, and its file.
                    counts = f" {SHARED}/" in line and not line.endswith("(deleted)\n")
                elif counts and line.startswith("Pss:"):
                    total += 1024 * int(line.split()[1])
    except OSError:
        pass
    return total


def _kilobytes(path: Path, names: tuple[str, ...]) -> int:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(names))


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _held(pids: Iterable[int]) -> set[Path]:
    """Files in shared memory that a process has open or mapped."""
    found: set[Path] = set()
    for pid in pids:
        process = Path(f"/proc/{pid}")
        try:
            lines = (process / "maps").read_text(encoding="utf-8", errors="replace").splitlines()
            mapped = {Path(line.split(maxsplit=5)[5]) for line in lines if f" {SHARED}/" in line}
            opened = {_target(link) for link in (process / "fd").iterdir()}
        except OSError:  # It has ended, or is another user's.
            continue
        found |= {path for path in mapped | opened if SHARED in path.parents}
    return found


def _target(link: Path) -> Path:
    """Where a link leads; nowhere for one that is gone by now, such as that of reading the folder of links itself."""
    try:
        return Path(os.readlink(link))
    except OSError:
        return Path()
