"""Tables of conventions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Conventions(Protocol):
    """What was found by probing."""

    @property
    def found(self) -> Mapping[str, str]:
        """The findings, in words, by question."""


Found = Sequence[tuple[str, str, Conventions]]
"""(implementation, "" or what behind it was probed, its conventions)."""


def as_json(found: Found) -> str:
    """An object for each."""
    return json.dumps([{"implementation": n, "of": of or "implementation", **one.found} for n, of, one in found], indent=1)


def questions(found: Found) -> list[str]:
    """What was asked, in order."""
    return list(dict.fromkeys(question for _, _, one in found for question in one.found))


def _rows(found: Found) -> list[list[str]]:
    return [[f"  {of}" if of else name, *(one.found[question] for question in questions(found))] for name, of, one in found]


def markdown(found: Found) -> str:
    """The table in markdown."""
    from tabulate import tabulate

    return tabulate(_rows(found), headers=["", *questions(found)], tablefmt="pipe")


def print_conventions(console: Console, found: Found) -> None:
    """A row for each implementation and, beneath it, for the library call behind it; what that does otherwise stands out.

    As many tables, one below the other, as the width of the terminal asks for.
    """
    for number, questions in enumerate(_fitting(found, console.width)):
        console.print(*([""] if number else []), _table(found, questions), sep="\n")


def _fitting(found: Found, width: int) -> Iterator[list[str]]:
    """The questions in order, as many at a time as fit beside the names."""
    names = max(len(row[0]) for row in _rows(found)) + 1 if found else 0
    chosen: list[str] = []
    left = width - names
    for question in questions(found):
        needed = max([len(question), *(len(one.found[question]) for _, _, one in found)]) + 1
        if chosen and needed > left:
            yield chosen
            chosen, left = [], width - names
        chosen, left = [*chosen, question], left - needed
    yield chosen


def _table(found: Found, questions: list[str]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for heading in ("", *questions):
        table.add_column(heading, no_wrap=True)
    above: Conventions | None = None
    for name, of, one in found:
        cells = []
        for question in questions:
            other = bool(of) and above is not None and one.found[question] not in (above.found[question], "top-left")
            cells.append(Text(one.found[question], style="yellow" if other else ""))
        table.add_row(Text(f"  {of}" if of else name, style="dim" if of else "bold"), *cells)
        above = None if of else one
    return table
