"""What a reader should know of a time before quoting it. Each remark begins with a word that stands for it in a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from harness.analysis.estimates import Interval, undisturbed
from harness.records.cell import Cell, Timing
from harness.records.execution import Execution

WIDE = 0.1
"""Half of the interval against the time, from which a time is called noisy; pyperf warns at the same spread."""


WARMING = 0.05
"""By how much the first round of every process is slower where warming up was not over, as far apart as it may end."""

FEWEST_ROUNDS, FEWEST_PROCESSES = 3, 3
"""That it takes to tell: in noise alone the first of three rounds is the slowest of all in three processes once in 27 times,
the first of four once in 64."""


def remarks(timing: Timing, time: Interval) -> list[str]:
    """The remarks on a time."""
    said = []
    if math.isinf(time.high_s):
        said.append("once: one turn was all, which has no interval")
    elif time.half_width > WIDE:
        said.append(f"noisy: the interval is ±{time.half_width:.0%} wide")
    if (first := _first_rounds(timing)) > 1 + WARMING:
        said.append(f"warming: the first round of every process is slower than its others, by {first - 1:.0%} at least")
    counted = undisturbed(timing).turns
    disturbed = [turn.disturbed for turn in counted if turn.disturbed]
    if disturbed:
        said.append(f"disturbed: {disturbed[0]}, and the like in {len(disturbed)} of {len(counted)} rounds")
    return said


_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


def differences(execution: Execution, dtype: str) -> list[str]:
    """How calls ran otherwise than a reader would expect of a problem in `dtype`."""
    said = [f"fallback: {execution.fallback}"] if execution.fallback else []
    narrower = [other for other in execution.dtypes if _BYTES.get(other, 8) < _BYTES.get(dtype, 0)]
    return said + ([f"narrower: the library says that it computed in {', '.join(narrower)}"] if narrower else [])


def other_answers(cell: Cell) -> list[str]:
    """What a model with an implementation inside gives otherwise than it should, and rounding does not explain."""
    said = []
    if (text := cell.generation) and not text.explained:
        said.append(f"tokens: another one at {text.differs_at}, whose logit is {text.gap:.3g} less in float64")
    if (real := cell.answers) and real.same < real.asked:
        said.append(f"answers: {real.asked - real.same} of {real.asked} are others")
    return said


def _first_rounds(timing: Timing) -> float:
    """The least, over processes, of the first turn's time over the median of the others.

    1 where there are too few of them, or a later one is slower.
    """
    ratios = []
    for process in timing.processes:
        times = [statistics.median(turn.samples_s) for turn in timing.turns if turn.process == process]
        if len(times) >= FEWEST_ROUNDS:
            ratios.append(times[0] / statistics.median(times[1:]) if times[0] > max(times[1:]) else 1.0)
    return min(ratios) if len(ratios) >= FEWEST_PROCESSES else 1.0


def short(remarks: Iterable[str]) -> str:
    """The words that stand for remarks, each once."""
    return " ".join(dict.fromkeys(remark.partition(":")[0] for remark in remarks))
