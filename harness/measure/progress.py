"""How long work tells where it stands."""

from __future__ import annotations

from collections.abc import Callable

Show = Callable[[int, int, str], None]
"""Called with how many cells are done, how many there are, and what is being done."""


def silent(done: int, total: int, doing: str) -> None:
    """Show nothing."""
