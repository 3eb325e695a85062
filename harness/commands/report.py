"""`harness report`: the tables of a stored run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """The command and its options."""
    verb = verbs.add_parser("report", help="the tables of a stored run")
    verb.add_argument("folder", type=Path, metavar="DIR")
    verb.add_argument("--format", choices=("md", "csv"), help="markdown or CSV instead of tables for the terminal")
    verb.add_argument("--plot", type=Path, metavar="FILE", help="time and workspace against the length, as a picture")
    verb.set_defaults(run=run)


def run(given: argparse.Namespace) -> bool:
    """The tables again, from a stored run."""
    from harness.analysis.table import results
    from harness.runs.folder import RunFolder

    stored = RunFolder.open(given.folder).run()
    table = results(stored)
    if given.plot:
        from harness.report.plots import plot

        plot(stored, table, given.plot)
        print(f"drawn: {given.plot}")
    elif given.format == "csv":
        print(table.to_csv(index=False), end="")
    elif given.format == "md":
        from harness.report.markdown import report

        print(report(stored, table), end="")
    else:
        from rich.console import Console

        from harness.report.terminal import print_results

        print_results(Console(), stored, table)
    return True
