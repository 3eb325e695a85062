"""What a run tells of its progress while it goes on."""

from __future__ import annotations

from typing import Protocol

from harness.records.cell import Cell


class Listener(Protocol):
    """Is told what happens. Counting what is finished is its own business."""

    def phase(self, name: str, total: int, done: int = 0) -> None:
        """A phase begins, of so many cells, some of which are done already."""

    def doing(self, what: str) -> None:
        """What is being done now."""

    def measured(self, cell: Cell) -> None:
        """A cell is finished, or need not be begun."""

    def examined(self, cell: Cell) -> None:
        """The memory of a cell, or what it generates, was looked at."""


class Silent:
    """A listener that tells nobody."""

    def phase(self, name: str, total: int, done: int = 0) -> None: ...

    def doing(self, what: str) -> None: ...

    def measured(self, cell: Cell) -> None: ...

    def examined(self, cell: Cell) -> None: ...
