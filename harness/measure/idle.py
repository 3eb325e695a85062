"""Whether the machine is busy with other work before a run begins."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.measure.load import LoadMeter

LOOK_S = 0.3
"""How long is looked: long enough to see a tenth of the processors, by the system's ticks."""

QUIET_LOOKS = 10
"""In so many looks, one after the other, nothing may be going on before a run that waits begins."""


def busy(look_s: float = LOOK_S) -> str:
    """What else goes on in the machine, in a few words, or ""."""
    meter = LoadMeter(())
    time.sleep(look_s)
    return meter.disturbed()


def wait_for_idle(doing: Callable[[str], None], look: Callable[[], str] = busy) -> None:
    """Return when the machine has been idle for some seconds. `doing` is told what it waits for."""
    quiet = 0
    while quiet < QUIET_LOOKS:
        said = look()
        quiet = 0 if said else quiet + 1
        doing(f"waiting: {said}" if said else "waiting: quiet so far")
