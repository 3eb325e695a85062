"""The data caches of the processor, as Linux describes them (Documentation/ABI/testing/sysfs-devices-system-cpu)."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

from harness.records.limits import CacheLevel

CPUS = Path("/sys/devices/system/cpu")

FALLBACK = (("L1", 32 * 2**10, False), ("L2", 2**20, False), ("L3", 32 * 2**20, True))
"""Where Linux does not say: name, bytes, whether all cores share it. Sizes of today's processors, neither least nor most."""

_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def cache_levels(cpus: Collection[int], folder: Path = CPUS) -> tuple[CacheLevel, ...]:
    """The levels that these CPUs have between them, the smallest first, without rates. Empty where Linux does not say."""
    instances: dict[tuple[int, int], set[str]] = {}
    for cpu in cpus:
        for index in (folder / f"cpu{cpu}" / "cache").glob("index*"):
            try:
                level, kind, size, shared = (
                    (index / name).read_text(encoding="utf-8").strip()
                    for name in ("level", "type", "size", "shared_cpu_list")
                )
                if kind in ("Data", "Unified"):
                    instances.setdefault((int(level), int(size[:-1]) * _UNITS[size[-1]]), set()).add(shared)
            except (OSError, ValueError, KeyError, IndexError):
                continue
    found = sorted(instances.items())
    return tuple(CacheLevel(name=f"L{level}", bytes=size, instances=len(shared)) for (level, size), shared in found)


def typical_levels(cpus: Collection[int]) -> tuple[CacheLevel, ...]:
    """The levels of a typical processor of today."""
    return tuple(CacheLevel(name=name, bytes=size, instances=1 if shared else len(cpus)) for name, size, shared in FALLBACK)


def working_sets(levels: Collection[CacheLevel], threads: int, step: int) -> dict[str, int]:
    """Bytes, a multiple of `step`, that each thread reads again and again to read from a level; by the level's name.

    Far more than the level before holds, far less than the level itself: their geometric mean, and a quarter of the first
    level. A level that is less than four times as large as the one before is left out: most of what lies in it would be read
    from the one before. With many cores that is so of a shared level.
    """
    sets, inner = {}, 0.0
    for level in levels:
        share = level.capacity(threads) / threads
        if share >= 4 * inner:
            sets[level.name] = int(math.sqrt(share * (inner or share / 16))) // step * step
        inner = share
    return sets
