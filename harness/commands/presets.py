"""`harness presets`: the built-in sets of problems."""

from __future__ import annotations

import argparse
from typing import Any


def add(verbs: Any) -> None:
    """The command."""
    verb = verbs.add_parser("presets", help="the built-in sets of problems")
    verb.add_argument("--operator", metavar="NAME", default="attention", help="whose problems (attention)")
    verb.set_defaults(run=run)


def run(given: argparse.Namespace) -> bool:
    """Every built-in preset and its problems."""
    from harness.runs.presets import all_built_in

    for preset in all_built_in(given.operator):
        print(f"{preset.name}: {preset.description}\n  from {preset.source}")
        for problem in preset.problems:
            print(f"    {problem.name}")
    return True
