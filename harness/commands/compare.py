"""`harness compare`: two runs, or two implementations of one run. Exit status 1 where something became worse."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options
from harness.errors import UserError, unknown_name

if TYPE_CHECKING:
    from harness.analysis.comparison import Comparison
    from harness.records.run import Run


def add(verbs: Any) -> None:
    """The command and its options."""
    verb = verbs.add_parser("compare", help="two runs, or two implementations of one: same, faster, slower or unclear")
    verb.add_argument("old", metavar="OLD", help="a run's folder, or the name of a baseline")
    verb.add_argument("new", nargs="?", metavar="NEW", help="a run's folder, or the name of a baseline")
    verb.add_argument("--impl", metavar="NAME", help="of one run: the implementation that is compared")
    verb.add_argument("--against", metavar="NAME", help="with this one")
    verb.add_argument(
        "--threshold", type=options.positive_number, default=5.0, metavar="PERCENT", help="what matters; more is worse (5)"
    )
    verb.add_argument("--format", choices=("md", "json"), help="markdown for a pull request, or JSON for tools")
    verb.add_argument(
        "--history",
        type=Path,
        action="append",
        metavar="DIR",
        help="where earlier runs of this machine lie, which tell how much times change by themselves (runs, baselines)",
    )
    verb.add_argument("--anyway", action="store_true", help="although the machines differ")
    verb.set_defaults(run=run)


def run(given: argparse.Namespace) -> bool:
    """Compare and tell. True when nothing is worse by more than the threshold."""
    found, title, remarks = _within(given) if given.impl or given.against else _between(given)
    if not found:
        raise UserError(f"there is nothing to compare: {title} have no implementation and problem in common")
    threshold = given.threshold / 100
    _tell(given.format, title, found, remarks, threshold)
    return not any(one.regressions for one in found)


def _between(given: argparse.Namespace) -> tuple[list[Comparison], str, list[str]]:
    from harness.analysis.comparison import between_runs, differences
    from harness.analysis.history import History
    from harness.runs.history import FOLDERS, earlier_runs

    if not given.new:
        raise UserError("compare takes two runs, OLD and NEW; or one, with --impl NAME --against NAME")
    old, new = _run(given.old), _run(given.new)
    machines, others = differences(old, new)
    if machines and not given.anyway:
        raise UserError(f"the machines differ ({'; '.join(machines)}), and so do times; --anyway compares them nevertheless")
    earlier = earlier_runs(new, given.history or FOLDERS)
    found = between_runs(old, new, given.threshold / 100, History(earlier))
    return found, f"{given.old} and {given.new}", [*machines, *others, *_told(len(earlier))]


def _told(earlier: int) -> list[str]:
    """What was known of times before."""
    from harness.analysis.history import FEWEST

    if earlier > FEWEST:
        return [f"a change counts that is larger than those between the {earlier} earlier runs of this machine"]
    return [f"earlier runs of this machine with these settings: {earlier}; {FEWEST + 1} would tell how much times change"]


def _within(given: argparse.Namespace) -> tuple[list[Comparison], str, list[str]]:
    from harness.analysis.comparison import within_a_run

    if given.history:
        raise UserError("--history is for two runs: implementations of one run are compared by the rounds they share")
    if given.new or not given.impl or not given.against:
        raise UserError("--impl NAME --against NAME compare two implementations of one run; give one folder, and both names")
    one = _run(given.old)
    for name in (given.impl, given.against):
        if name not in one.implementations:
            raise UserError(unknown_name("implementation", name, list(one.implementations), "the run has"))
    return within_a_run(one, given.impl, given.against, given.threshold / 100), f"{given.impl} and {given.against}", []


def _run(named: str) -> Run:
    from harness.runs.baselines import folder_of
    from harness.runs.folder import RunFolder

    return RunFolder.open(folder_of(Path(named))).run()


def _tell(form: str | None, title: str, found: list[Comparison], remarks: list[str], threshold: float) -> None:
    from harness.report import comparison

    if form == "json":
        print(comparison.json(found, remarks), end="")
        return
    if form == "md":
        print(comparison.markdown(title, found, remarks, threshold), end="")
        return
    from rich.console import Console

    from harness.report.terminal import print_comparison

    console = Console()
    print_comparison(console, found, threshold)
    for remark in remarks:
        console.print(remark, markup=False, highlight=False)
