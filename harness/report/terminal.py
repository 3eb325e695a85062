"""Tables and progress in the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from harness.analysis.comparison import Comparison
from harness.analysis.ranking import absences
from harness.errors import Status
from harness.records.cell import Cell
from harness.records.run import Run
from harness.report import comparison, inside
from harness.report.format import HEADINGS, LESS_NEEDED, cold, display_rows, told, winner

FULL_WIDTH = 112
"""Columns of a terminal that the whole table needs."""

_STYLES = {"incorrect": "bold red", "crashed": "red", "error": "red", "timeout": "yellow", "out-of-memory": "yellow"}


class Output(Console):
    """A console that goes on in silence where nothing can be printed any more.

    A reader has left (`| head`), a disk is full, a descriptor was closed: the run matters more than its echo.
    """

    def __init__(self) -> None:
        super().__init__(file=_Echo(sys.stdout))  # type: ignore[arg-type]

    def say(self, line: str) -> None:
        """A line as it is, however long."""
        self.print(line, highlight=False, markup=False, soft_wrap=True)


class _Echo:
    """Standard output, as far as it can be written to."""

    def __init__(self, stream: TextIO | None):
        self._stream = stream

    def write(self, text: str) -> int:
        self._tried("write", text)
        return len(text)

    def flush(self) -> None:
        self._tried("flush")

    def _tried(self, what: str, *arguments: str) -> None:
        try:
            if self._stream is not None:
                getattr(self._stream, what)(*arguments)
        except (OSError, ValueError):
            self._stream = None
            with contextlib.suppress(OSError, ValueError, AttributeError):  # Python flushes it once more in the end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.__stdout__, name)


class Display:
    """The bar of a run. Redrawn only when the run reports, never by itself: nothing may run beside a measurement."""

    def __init__(self, console: Console):
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None)
        self._console = console
        self._lines = not console.is_terminal
        self._absent: set[str] = set()
        self._finished: set[tuple[str, str]] = set()

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def phase(self, name: str, total: int, done: int = 0) -> None:
        """Begin the bar anew."""
        self._show(completed=done, total=total, description=name)

    def doing(self, what: str) -> None:
        """Say beside the bar what is being done."""
        self._show(description=what)

    def measured(self, cell: Cell) -> None:
        """Move the bar by one, and say what came of a cell that is finished; of what is not on this machine, only once."""
        if (cell.timing and not cell.timing.stopped) or cell.key in self._finished:
            return
        self._finished.add(cell.key)
        self._show(advance=1)
        if cell.implementation not in self._absent:
            self.say(told(cell))
        if cell.status is Status.UNAVAILABLE:
            self._absent.add(cell.implementation)

    def examined(self, cell: Cell) -> None:
        """Move the bar by one."""
        self._show(advance=1)

    def _show(self, **changes: Any) -> None:
        self._progress.update(self._task, refresh=False, **changes)
        if not self._lines:
            self._progress.refresh()

    def say(self, line: str) -> None:
        """A line above the bar, which stays."""
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _grid(rows: Sequence[Sequence[str]], narrow: bool) -> Table:
    shown = [n for n, heading in enumerate(HEADINGS) if not (narrow and heading in LESS_NEEDED)]
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    notes = len(HEADINGS) - 1  # Where there is no room they get a second line: no digit of a number is left out.
    for n in shown:
        grid.add_column(HEADINGS[n], justify="left" if n in (0, notes) else "right", no_wrap=n != notes)
    for cells in rows:
        style = _STYLES.get(cells[1], "dim" if not cells[2] else "")
        grid.add_row(*(Text(cells[n]) for n in shown), style=style)
    return grid


def _plain_grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Without the columns in which nothing stands."""
    shown = [n for n in range(len(headings)) if any(cells[n] for cells in rows)]
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for n in shown:
        grid.add_column(headings[n], justify="left" if n == 0 else "right", no_wrap=True)
    for cells in rows:
        grid.add_row(*(Text(cells[n]) for n in shown))
    return grid


def print_comparison(console: Console, found: Sequence[Comparison], threshold: float) -> None:
    """A table, then what it comes to."""
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for n, heading in enumerate(comparison.HEADINGS):
        grid.add_column(heading, justify="right" if n in (2, 3, 5, 6) else "left", overflow="fold")
    for one, cells in zip(found, comparison.rows(found), strict=True):
        grid.add_row(*map(Text, cells), style="red" if one.regressions else _VERDICT_STYLES.get(one.verdict, ""))
    console.print(grid)
    console.print(Text(comparison.summary(found, threshold)))


_VERDICT_STYLES = {"faster": "green", "slower": "yellow", "unclear": "dim"}


def print_results(console: Console, run: Run, table: pd.DataFrame) -> None:
    """One table a problem, then what was not measured."""
    for problem in run.problems:
        rows, narrow = table[table.problem == problem.name], console.width < FULL_WIDTH
        console.print(Text(problem.name + cold(rows), style="bold"))
        console.print(Text(f"fastest: {winner(rows)}"))
        console.print(_grid(display_rows(rows, narrow), narrow))
        if problem.operator == "model":
            console.print(_plain_grid(inside.HEADINGS, inside.inside_rows(rows)))
        console.print()
    missing = absences(table)
    if missing:
        console.print("Not measured, and why:", style="bold")
    for name, status, reason, where in missing:
        scope = "" if len(where) == len(run.problems) else f" on {', '.join(where)}"
        console.print(Text(f"  {name}{scope}: {status}: {reason}"), style=_STYLES.get(status, ""))
