"""What else went on in the machine while something was timed: times taken beside other work say little."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.workers.process import process_clock

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
    """Of all processors, stolen time included (proc(5), stat)."""
    stolen_s: float
    throttled: int
    """How often the control group was throttled (cgroup v2, cpu.stat), and cores for heat."""
    ours_s: float
    """Processor time of this process and its workers."""


class LoadMeter:
    """Started before something is timed; tells afterwards what was not ours."""

    def __init__(self, pids: Iterable[int]):
        self._pids = tuple(pids)
        self._cpus = os.cpu_count() or 1
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
        busy_s, stolen_s = _busy_and_stolen_s()
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


def _busy_and_stolen_s() -> tuple[float, float]:
    try:
        with open("/proc/stat", encoding="utf-8") as lines:
            fields = [int(n) for n in next(lines).split()[1:9]]
    except (OSError, ValueError, StopIteration):
        return 0.0, 0.0
    user, nice, system, _, _, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) * _TICK_S, steal * _TICK_S


def _throttled() -> int:
    count = 0
    try:
        for line in Path("/sys/fs/cgroup/cpu.stat").read_text(encoding="utf-8").splitlines():
            if line.startswith("nr_throttled "):
                count += int(line.split()[1])
    except (OSError, ValueError):
        pass
    for path in _HEAT:
        try:
            count += int(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return count


_HEAT = glob.glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
