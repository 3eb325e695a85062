"""What else went on in the machine while something was timed: times taken beside other work say little."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.workers.cgroup import Groups
from harness.workers.process import process_clock
from harness.workers.processors import with_siblings

FOREIGN_SHARE = 0.03
"""Of the machine's processors, from which other processes are mentioned; an idle system's daemons stay below."""

STOLEN_SHARE = 0.01
"""Of the machine's processors, from which time that a hypervisor gave to others is mentioned."""

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Counters:
    """What the system counts, at one moment; zero where it does not tell."""

    now_s: float
    busy_s: float
    """Of the processors that are used, stolen time included."""
    stolen_s: float
    throttled: int
    """How often the control group was throttled, and cores for heat."""
    ours_s: float
    """Processor time of this process and its workers."""


class LoadMeter:
    """Started before something is timed; tells afterwards what was not ours on the processors that are used."""

    def __init__(self, pids: Iterable[int], cpus: Iterable[int] | None = None):
        """`cpus` are those that the processes keep to; all that may be used unless given. What shares a core counts too."""
        self._pids = tuple(pids)
        self._used = with_siblings(sorted(cpus or os.sched_getaffinity(0)))
        self._cpus = len(self._used)
        self._start = self._count()

    def foreign_s(self) -> float:
        """Processor time of other processes since the start."""
        return _foreign_s(self._start, self._count())

    def foreign_share(self) -> float:
        """The same, as a share of all processors over the elapsed time."""
        now = self._count()
        elapsed_s = now.now_s - self._start.now_s
        return max(0.0, _foreign_s(self._start, now) / (elapsed_s * self._cpus)) if elapsed_s > 0 else 0.0

    def disturbed(self) -> str:
        """What disturbed the time since the start, in a few words, or "". What ticks cannot resolve is not mentioned."""
        start, now = self._start, self._count()
        foreign_s, stolen_s = _foreign_s(start, now), now.stolen_s - start.stolen_s
        available_s = (now.now_s - start.now_s) * self._cpus
        resolution_s = 2 * _TICK_S * self._cpus
        said = []
        if foreign_s > FOREIGN_SHARE * available_s + resolution_s:
            said.append(f"other processes used {foreign_s / available_s:.0%} of the processors")
        if stolen_s > STOLEN_SHARE * available_s + resolution_s:
            said.append(f"the hypervisor took {stolen_s / available_s:.0%}")
        if now.throttled > start.throttled:
            said.append("the processor was throttled")
        return ", ".join(said)

    def _count(self) -> Counters:
        busy_s, stolen_s = _busy_and_stolen_s(self._used)
        return Counters(time.perf_counter(), busy_s, stolen_s, _throttled(), self._ours_s())

    def _ours_s(self) -> float:
        total = time.process_time()
        for pid in self._pids:
            try:
                total += time.clock_gettime(process_clock(pid))
            except OSError:  # It has ended; what it used is counted as foreign, which is seldom and small.
                continue
        return total


def _foreign_s(start: Counters, now: Counters) -> float:
    return (now.busy_s - start.busy_s) - (now.stolen_s - start.stolen_s) - (now.ours_s - start.ours_s)


def _busy_and_stolen_s(cpus: set[int]) -> tuple[float, float]:
    """Of some processors (proc(5), stat)."""
    busy = stolen = 0
    names = {f"cpu{cpu}" for cpu in cpus}
    try:
        for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines():
            name, *fields = line.split()
            if name in names:
                user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
                busy, stolen = busy + user + nice + system + irq + softirq + steal, stolen + steal
    except (OSError, ValueError):
        return 0.0, 0.0
    return busy * _TICK_S, stolen * _TICK_S


def _throttled() -> int:
    count = Groups().throttled()
    for path in _HEAT:
        try:
            count += int(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return count


_HEAT = glob.glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
