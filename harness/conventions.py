"""`harness conventions`: what implementations, and the library calls behind them, really do."""

from __future__ import annotations

import argparse
import json
import os

from harness.conformance.conventions import QUESTIONS, Conventions
from harness.measure.checker import Checker
from harness.measure.messages import Failed
from harness.plan import contenders
from harness.registry import discover

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
        with Checker(contender, len(os.sched_getaffinity(0)), options.timeout) as checker:
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
    """A row for each implementation and, beneath it, for the library call behind it; what that does otherwise stands out."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for heading in ("", *QUESTIONS):
        table.add_column(heading, no_wrap=not heading, min_width=4)
    above: Conventions | None = None
    for name, of, one in found:
        cells = []
        for question in QUESTIONS:
            other = bool(of) and above is not None and one.found[question] not in (above.found[question], "top-left")
            cells.append(Text(one.found[question], style="yellow" if other else ""))
        table.add_row(Text(f"  {of}" if of else name, style="dim" if of else "bold"), *cells)
        above = None if of else one
    Console().print(table)
