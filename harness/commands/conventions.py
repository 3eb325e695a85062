"""`harness conventions`: what every implementation really does, by probing."""

from __future__ import annotations

import argparse
from typing import Any

from harness.commands import options
from harness.plugins.registry import discover


def add(verbs: Any) -> None:
    """The command and its options."""
    parents = [options.operator(), options.plugin(), options.device()]
    verb = verbs.add_parser("conventions", parents=parents, help="what every implementation really does, by probing")
    verb.add_argument("--impl", metavar="NAMES", default="all", help="all, or names separated by commas (all)")
    verb.add_argument(
        "--timeout", type=options.positive_number, default=120.0, metavar="S", help="for one of them, in seconds (120)"
    )
    verb.add_argument("--format", choices=("md", "json"), help="markdown or JSON instead of a table for the terminal")
    verb.set_defaults(run=run)


def run(given: argparse.Namespace) -> bool:
    """Probe and print. True when everything is as the contract and the declarations have it."""
    from rich.console import Console

    from harness.conformance.probing import probe
    from harness.report.conventions import as_json, markdown, print_conventions

    registry = discover(given.plugin).holding(given.impl, given.operator)
    probed = probe(registry, registry.select(given.impl), given.device, given.timeout)
    wrong = probed.disagreements
    if given.format == "json":
        print(as_json(probed.found))
        return not wrong
    if given.format == "md":
        print(markdown(probed.found))
    else:
        print_conventions(Console(), probed.found)
    print("\n".join(["", *(f"not probed: {reason}" for reason in probed.absent)]) if probed.absent else "")
    print("\n".join(wrong) or "Every implementation does what it declares, and what the contract has.")
    return not wrong
