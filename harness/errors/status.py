"""How something that was tried has ended."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """How a cell ended."""

    OK = "ok"
    """Verified against the oracle, then measured."""
    INCORRECT = "incorrect"
    """Failed the verification; not timed."""
    UNSUPPORTED = "unsupported"
    """The implementation declares that it does not do this."""
    UNAVAILABLE = "unavailable"
    """Its framework or device is not on this machine."""
    OVER_BUDGET = "over-budget"
    """Predicted from its smaller cells to exceed the cell's time or memory; not run."""
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    CRASHED = "crashed"
    """The process died: exit code or signal, and the last lines it printed."""
    ERROR = "error"
    """It raised."""
    IMPOSSIBLE = "impossible"
    """Faster than the machine's limits allow, which no time can be; what it did is not known."""
