"""How much a cell's time changes from run to run where nothing has changed, as earlier runs of the same machine tell.

Two runs of one kernel may differ by more than the processes of one run: the machine was warmer, memory lay elsewhere. A
change counts when it is larger than Q3 + 3 IQR of the changes that the cell has seen before, as in rustc-perf, the
performance tests of the Rust compiler (docs/comparison-analysis.md).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable

from harness.analysis.table import estimates
from harness.records.run import Run

FEWEST = 4
"""Changes that quartiles need, so one run more."""


class History:
    """What is known of the cells of earlier runs, the oldest first; all of them on one machine."""

    def __init__(self, runs: Iterable[Run] = ()):
        self._times: dict[tuple[str, str], list[tuple[dict[str, str], float]]] = {}
        self.runs = 0
        for run in runs:
            self.runs += 1
            found = estimates(run.cells)
            for cell in run.cells:
                if cell.timing:
                    time = found[cell.problem.name].time(cell.implementation)
                    self._times.setdefault(cell.key, []).append((dict(cell.versions), math.log(time.median_s)))

    def reach(self, name: str, problem: str) -> float | None:
        """The ratio above 1 that a change of this cell has to exceed; None where too few runs tell.

        Changes between runs with other versions or settings of the library do not count.
        """
        times = self._times.get((name, problem), [])
        changes = [abs(new - old) for (was, old), (now, new) in itertools.pairwise(times) if was == now]
        if len(changes) < FEWEST:
            return None
        first, _, third = statistics.quantiles(changes, n=4, method="inclusive")
        return math.exp(third + 3 * (third - first))
