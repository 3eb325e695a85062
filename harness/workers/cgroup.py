"""The limits of this process's control group: a container's quota of processor time, and of memory (cgroups(7)).

Both versions. A limit of any group above counts too; what cannot be read is no limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NONE = 2**60
"""Version 1 has such a number of bytes in place of none."""


@dataclass(frozen=True)
class Groups:
    """The control groups of a process. `root` is another place than / in tests."""

    root: Path = Path("/")

    def cpus(self) -> float | None:
        """How many processors' time may be used; None where nothing limits it."""
        return min(self._cpus(), default=None)

    def memory_bytes(self) -> int | None:
        """How much memory may be used; None where nothing limits it."""
        limits = (_number(folder / name) for folder, name in self._files("memory", "memory.max", "memory.limit_in_bytes"))
        return min((one for one in limits if one is not None and one < _NONE), default=None)

    def memory_left_bytes(self) -> int | None:
        """How much of it is left, caches of files counted as left; None where nothing limits it."""
        left = []
        for folder, name in self._files("memory", "memory.max", "memory.limit_in_bytes"):
            limit = _number(folder / name)
            used = _number(folder / ("memory.current" if name == "memory.max" else "memory.usage_in_bytes"))
            if limit is not None and used is not None and limit < _NONE:
                cached = _entry(folder / "memory.stat", "inactive_file" if name == "memory.max" else "total_inactive_file")
                left.append(max(0, limit - used + cached))
        return min(left, default=None)

    def throttled(self) -> int:
        """How often it had to wait because its quota was used up."""
        return sum(_entry(folder / "cpu.stat", "nr_throttled") for folder in self._folders("cpu"))

    def _cpus(self) -> Iterator[float]:
        for folder in self._folders("cpu"):
            quota, _, period = _text(folder / "cpu.max").partition(" ")
            if not quota:
                quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
            try:
                if quota != "max" and int(quota) > 0:
                    yield int(quota) / int(period)
            except (ValueError, ZeroDivisionError):
                continue

    def _files(self, controller: str, second: str, first: str) -> Iterator[tuple[Path, str]]:
        for folder in self._folders(controller):
            yield folder, second if (folder / second).exists() else first

    def _folders(self, controller: str) -> Iterator[Path]:
        """That of the group and those above it, of both versions."""
        mounted = self.root / "sys/fs/cgroup"
        for line in _text(self.root / "proc/self/cgroup").splitlines():
            number, _, rest = line.partition(":")
            names, _, path = rest.partition(":")
            if number == "0" and not names:
                top = mounted if (mounted / "cgroup.controllers").exists() else mounted / "unified"
            elif controller in names.split(","):
                top = next((at for at in (mounted / names, mounted / controller) if at.exists()), mounted / controller)
            else:
                continue
            folder = top / path.strip("/")
            if not folder.exists():  # In a container whose own group is mounted as if it were the uppermost.
                folder = top
            yield folder
            yield from (above for above in folder.parents if above == top or top in above.parents)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _entry(path: Path, name: str) -> int:
    for line in _text(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0
