"""Which processors are used: those that this process may use, as far as its quota goes, and that no other run has."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.workers import scratch
from harness.workers.cgroup import Groups


def usable() -> int:
    """How many threads make sense: the CPUs that this process may use, or the whole ones that its quota pays for."""
    allowed, quota = len(os.sched_getaffinity(0)), Groups().cpus()
    return allowed if quota is None else max(1, min(allowed, math.floor(quota + 1e-9)))


def of_workers(threads: int) -> list[int]:
    """The CPUs that workers with so many threads keep to."""
    return sorted(os.sched_getaffinity(0))[:threads]


def with_siblings(cpus: Sequence[int]) -> set[int]:
    """CPUs with those that share a core with one of them: what runs there takes from these."""
    found = set(cpus)
    for cpu in cpus:
        try:
            path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
            found |= set(_listed(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
    return found


def _listed(text: str) -> Iterator[int]:
    """The numbers of a list as the kernel writes it, such as 0-3,8."""
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


@contextlib.contextmanager
def claimed(threads: int) -> Iterator[str]:
    """Hold the CPUs that workers will keep to, others than those of runs beside this one where enough are left.

    Yields what is to be said where there are not, or "". The claim is a lock that ends with the process.
    """
    before = os.sched_getaffinity(0)
    locks: dict[int, int] = {}
    taken = set()
    for cpu in sorted(before):
        if len(locks) < threads:
            lock = _lock(cpu)
            if lock is not None:
                locks[cpu] = lock
            elif _exists(cpu):
                taken.add(cpu)
    said = ""
    if taken and len(locks) == threads:
        os.sched_setaffinity(0, before - taken)
    elif taken:
        said = (
            f"Another run measures on {len(taken)} of the {len(before)} CPUs, and each will disturb the other: "
            "wait until it has ended, or give each fewer with --threads"
        )
    try:
        yield said
    finally:
        for lock in locks.values():
            os.close(lock)
        os.sched_setaffinity(0, before)


def _lock(cpu: int) -> int | None:
    """A descriptor that holds the lock of a CPU; None where another process holds it, or no lock can be had."""
    try:
        descriptor = os.open(scratch.of_user() / _name(cpu), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _name(cpu: int) -> str:
    return f"cpu-{cpu}.lock"


def _exists(cpu: int) -> bool:
    try:
        return (scratch.of_user() / _name(cpu)).exists()
    except OSError:
        return False
