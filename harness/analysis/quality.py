"""What a reader should know of a time before quoting it. Each remark begins with a word that stands for it in a table."""

from __future__ import annotations

import math
from collections.abc import Iterable

from harness.analysis.estimates import Interval, undisturbed
from harness.records.cell import Timing

WIDE = 0.1
"""Half of the interval against the time, from which a time is called noisy; pyperf warns at the same spread."""


def remarks(timing: Timing, time: Interval) -> list[str]:
    """The remarks on a time."""
    said = []
    if math.isinf(time.high_s):
        said.append("once: one turn was all, which has no interval")
    elif time.half_width > WIDE:
        said.append(f"noisy: the interval is ±{time.half_width:.0%} wide")
    counted = undisturbed(timing).turns
    disturbed = [turn.disturbed for turn in counted if turn.disturbed]
    if disturbed:
        said.append(f"disturbed: {disturbed[0]}, and the like in {len(disturbed)} of {len(counted)} rounds")
    return said


def short(remarks: Iterable[str]) -> str:
    """The words that stand for remarks, each once."""
    return " ".join(dict.fromkeys(remark.partition(":")[0] for remark in remarks))
