"""`harness check`: the conformance cases, chapter by chapter."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.commands import options
from harness.errors import UserError
from harness.plugins.registry import discover


def add(verbs: Any) -> None:
    """The command and its options."""
    parents = [options.operator(), options.plugin(), options.device()]
    verb = verbs.add_parser("check", parents=parents, help="the conformance cases, chapter by chapter")
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--impl", metavar="NAMES", help="all, or names separated by commas")
    what.add_argument("--layer", metavar="FILE:CLASS", help="a multi-head layer of your own, of Keras or PyTorch")
    verb.add_argument("--case", action="append", default=[], metavar="ID", help="only this case or chapter; may be repeated")
    verb.add_argument("--threads", type=options.positive_int, metavar="N", help="CPU threads (all)")
    verb.add_argument(
        "--timeout", type=options.positive_number, default=120.0, metavar="S", help="for one case, in seconds (120)"
    )
    verb.add_argument("--memory", type=options.gibibytes, metavar="GIB", help="for the worker (80 %% of what is available)")
    verb.add_argument("--full", action="store_true", help="every case, also where each shape is compiled for seconds")
    verb.add_argument("--seed", type=options.seed, metavar="N", help="of the arrays, instead of each case's own")
    verb.add_argument("--quiet", action="store_true", help="of the cases, only the first failure of each kind")
    verb.add_argument("--csv", type=Path, metavar="FILE", help="write a row for every case")
    verb.set_defaults(run=run)


def run(given: argparse.Namespace) -> bool:
    """Check, print, and write the rows where asked. True when something was examined and nothing was wrong."""
    from harness.conformance.checking import CheckRequest, check

    if given.csv and given.csv.exists():
        raise UserError(f"{given.csv} exists, and is not overwritten; give --csv another name")
    if given.csv:
        _can_be_made(given.csv)
    plugins = [*given.plugin, given.layer] if given.layer else given.plugin
    names = given.layer.partition(".py:")[2].partition("(")[0].strip() if given.layer else given.impl
    found = discover(plugins)
    request = CheckRequest(
        implementations=names,
        plugins=plugins,
        cases=given.case,
        device=given.device,
        threads=given.threads,
        timeout_s=given.timeout,
        memory_gib=given.memory,
        full=given.full,
        seed=given.seed,
        quiet=given.quiet,
    )
    registry = found.holding(names, given.operator)
    if given.layer:
        print(f"{registry.implementations[names].summary}\n", flush=True)
    checked = check(request, registry, lambda text: print(text, flush=True))
    if given.csv:
        _write(given.csv, checked.rows)
    return checked.passed


def _can_be_made(path: Path) -> None:
    """Raise `UserError` now, and not when all cases have run, where a file cannot be written."""
    try:
        path.touch(exist_ok=False)
        path.unlink()
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with open(path, "x", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys() if rows else ["implementation"])
        writer.writeheader()
        writer.writerows(rows)
