"""`harness conventions`: what implementations, and the library calls behind them, really do."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.conformance.examiner import Examiner
from harness.operators.attention.conventions import QUESTIONS, Conventions
from harness.plugins.contender import contenders
from harness.plugins.registry import discover
from harness.workers.messages import Failed

if TYPE_CHECKING:
    from rich.table import Table

LIBRARY = "library call"


def conventions(options: argparse.Namespace) -> bool:
    """Probe and print. True when everything is as the contract and the declarations have it."""
    registry = discover(options.plugin)
    found: list[tuple[str, str, Conventions]] = []
    absent: list[str] = []
    for contender in contenders(registry, registry.select(options.impl), options.device):
        if contender.absent:
            absent.append(f"{contender.name}: {contender.absent}")
            continue
        with Examiner(contender, len(os.sched_getaffinity(0)), options.timeout) as checker:
            reply = checker.probe()
        if isinstance(reply, Failed):
            absent.append(f"{contender.name}: {reply.status}: {reply.reason}")
            continue
        found.append((contender.name, "", reply.implementation))
        if reply.library_call is not None:
            found.append((contender.name, LIBRARY, reply.library_call))
    wrong = [f"{name}: {sentence}" for name, _, one in found for sentence in one.disagreements]
    if options.format == "json":
        print(
            json.dumps([{"implementation": n, "of": of or "implementation", **one.found} for n, of, one in found], indent=1)
        )
    elif options.format == "md":
        print(markdown(found))
    else:
        _print(found)
    if options.format != "json":
        print("\n".join(["", *(f"not probed: {reason}" for reason in absent)]) if absent else "")
        print("\n".join(wrong) or "Every implementation does what it declares, and what the contract has.")
    return not wrong


def _rows(found: list[tuple[str, str, Conventions]]) -> list[list[str]]:
    return [[f"  {of}" if of else name, *(one.found[question] for question in QUESTIONS)] for name, of, one in found]


def markdown(found: list[tuple[str, str, Conventions]]) -> str:
    """The table in markdown."""
    from tabulate import tabulate

    return tabulate(_rows(found), headers=["", *QUESTIONS], tablefmt="pipe")


def _print(found: list[tuple[str, str, Conventions]]) -> None:
    """A row for each implementation and, beneath it, for the library call behind it; what that does otherwise stands out.

    As many tables, one below the other, as the width of the terminal asks for.
    """
    from rich.console import Console

    console = Console()
    for number, questions in enumerate(_fitting(found, console.width)):
        console.print(*([""] if number else []), _table(found, questions), sep="\n")


def _fitting(found: list[tuple[str, str, Conventions]], width: int) -> Iterator[list[str]]:
    """The questions in order, as many at a time as fit beside the names."""
    names = max(len(row[0]) for row in _rows(found)) + 1 if found else 0
    chosen: list[str] = []
    left = width - names
    for question in QUESTIONS:
        needed = max([len(question), *(len(one.found[question]) for _, _, one in found)]) + 1
        if chosen and needed > left:
            yield chosen
            chosen, left = [], width - names
        chosen, left = [*chosen, question], left - needed
    yield chosen


def _table(found: list[tuple[str, str, Conventions]], questions: list[str]) -> Table:
    from rich.table import Table
    from rich.text import Text

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
