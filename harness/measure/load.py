"""Who else used the processor while a block was timed: times taken beside other work say little, and the record says so."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from harness.workers.process import process_clock

FOREIGN_SHARE = 0.03
"""Of the machine's processors, from which other processes are mentioned; an idle system's daemons stay below."""


class LoadMeter:
    """Started before a block; `foreign_share` tells afterwards what was not ours."""

    def __init__(self, pids: Iterable[int]):
        self._pids = tuple(pids)
        self._start = time.perf_counter()
        self._busy, self._ours = _busy_s(), self._ours_s()

    def foreign_share(self) -> float:
        """Processor time of other processes, as a share of all processors over the elapsed time; 0 where unknown."""
        elapsed = time.perf_counter() - self._start
        foreign = (_busy_s() - self._busy) - (self._ours_s() - self._ours)
        return max(0.0, foreign / (elapsed * (os.cpu_count() or 1))) if elapsed > 0 else 0.0

    def warning(self) -> str | None:
        """A sentence for the record when others used more than an idle system's share, or None."""
        share = self.foreign_share()
        return f"other processes used {share:.0%} of the processors meanwhile" if share > FOREIGN_SHARE else None

    def _ours_s(self) -> float:
        total = time.process_time()
        for pid in self._pids:
            try:
                total += time.clock_gettime(process_clock(pid))
            except OSError:  # It has ended; what it used is counted as foreign, which is seldom and small.
                continue
        return total


def _busy_s() -> float:
    """Seconds that the machine's processors have been busy since it started, stolen time included (proc(5), stat)."""
    try:
        with open("/proc/stat", encoding="utf-8") as lines:
            fields = [int(n) for n in next(lines).split()[1:9]]
    except (OSError, ValueError, StopIteration):
        return 0.0
    user, nice, system, _, _, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
