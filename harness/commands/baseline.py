"""`harness baseline`: runs kept under a name, to compare others with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.errors import UserError


def add(verbs: Any) -> None:
    """The command and its options."""
    verb = verbs.add_parser("baseline", help="keep a run under a name, to compare others with: save, list")
    verb.add_argument("action", choices=("save", "list"))
    verb.add_argument("name", nargs="?", metavar="NAME")
    verb.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="the run (the newest in runs/)")
    verb.set_defaults(run=run)


def run(given: argparse.Namespace) -> bool:
    """Copy a run's folder, or list those that were copied."""
    from harness.runs import baselines

    if given.action == "list":
        for name, machine in baselines.kept():
            print(f"{name}  {machine}")
        return True
    if not given.name:
        raise UserError("baseline save needs a name: python -m harness baseline save NAME [DIR]")
    source = given.folder or baselines.newest_run()
    print(f"kept {source} as {baselines.save(given.name, source)}")
    return True
