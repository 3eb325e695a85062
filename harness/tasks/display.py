"""Progress of trainings in the terminal: a bar with loss, accuracy and what is left."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.tasks.curves import Point
from harness.tasks.messages import Opened
from harness.tasks.plan import Result, Training

WIDE = 110
"""Columns of a terminal that has room for the bar itself, and for all that is known."""


class Display:
    """The bar of a training; a line for each validation where nobody watches a terminal."""

    def __init__(self, console: Console):
        self._console, self._wide = console, console.width >= WIDE
        self._progress = Progress(
            TextColumn("{task.description}"),
            *([BarColumn(bar_width=12)] if self._wide else []),
            MofNCompleteColumn(),
            TextColumn("{task.fields[scores]}"),
            *([TimeElapsedColumn()] if self._wide else []),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, scores="")
        self._held = ""

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begins(self, training: Training, opened: Opened) -> None:
        """Begin the bar anew."""
        self._held = ""
        self._progress.reset(self._task, total=training.steps, completed=opened.step, description=training.name, scores="")
        self._progress.refresh()

    def learnt(self, training: Training, points: tuple[Point, ...]) -> None:
        """Move the bar, and say what is known of loss and accuracy."""
        for point in points:
            if point.part == "validation":
                self._held = f"validation {point.loss:.3f} {point.accuracy:.1%}"
                if not self._console.is_terminal:
                    said = f"{training.name}  step {point.step}  {self._held}  {point.seconds:.0f} s"
                    self._console.print(said, soft_wrap=True, highlight=False)
            else:
                accuracy = f" {point.accuracy:.1%}" if self._wide else ""
                scores = f"loss {point.loss:.3f}{accuracy}  {self._held}"
                self._progress.update(self._task, completed=point.step, scores=scores)
        self._progress.refresh()

    def ended(self, result: Result) -> None:
        """Say what came of it."""
        scores = ", ".join(f"{name} {value:.3f}" for name, value in result.scores.items())
        self._console.print(f"{result.name}: {result.failed or scores}", soft_wrap=True, highlight=False)
